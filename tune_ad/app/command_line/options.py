"""The options of a search, each declared once with its flag, its default and its legal values.

`tune_ad.app.command_line.parser` generates the command line from the fields of `Options`; a Python
program sets the same fields. Nothing here imports torch, Ray or Optuna.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tune_ad.app.command_line.option import (
    BUDGET,
    ImageSize,
    Names,
    Option,
    assignments,
    budget_number,
    different_names,
    image_size,
    integer,
    mapping,
    names,
    option,
    path,
    path_text,
    real,
    share_or_auto,
)
from tune_ad.data.own.decoding import RESIZINGS, SMALLEST_SIDE
from tune_ad.data.own.naming import short_name
from tune_ad.errors import UserError
from tune_ad.execution.address import check_form
from tune_ad.execution.trackers import TRACKERS
from tune_ad.local_paths import local_path
from tune_ad.sample_sizes import LEAST_SEEDS
from tune_ad.search import catalogue
from tune_ad.search.ablation import ABLATIONS, MOST_SEEDS
from tune_ad.search.budgets import BUDGETS, LIMITS
from tune_ad.search.own_detector import detector_name
from tune_ad.selection import RULES
from tune_ad.storage.kept_models import KEEP_MODELS
from tune_ad.storage.precision import AUTO, PRECISIONS
from tune_ad.wording import either

SEARCH, DATA, MACHINE = "the search", "the data", "the machine"
DEFAULT_ABLATION = next(iter(ABLATIONS))
LARGEST_SEED = 2**32 - 1
MINUTES: Mapping[str, Any] = {
    "metavar": "MINUTES",
    "read": real,
    "minimum": 0,
    "maximum": 1_000_000,
    "excludes_minimum": True,
    "unit": "minutes",
}
LARGEST_SIDE = 1024
MOST_GPUS = MOST_CORES = 1_000_000
PATHS = ("results", "data_root", "data")
"""The options that are paths, or may be."""


@dataclass(frozen=True)
class Options:
    """The options of one search run; None = the default of the search or of the machine.

    Attributes:
        search: name of the search, or its file, as in "mine.py:mine_mnist"; the name in a file may
            be left out if the file declares a single search.
        ablate: kind of ablation to run instead of the search, a key of `ABLATIONS`.
        detector: the detector that takes the place of the search's own, as `find_detector` reads
            it; None = the search's own.
        baselines: names of the baselines of the search that take part; none = all.
        resume: whether to continue the study in the folder.
        retry_failed: whether the failed trials of the study are trained again.
        accept_changes: whether to go on although code, versions or device have changed.
        extend: number of trials to add to the study.
        evaluate: whether to train the winner again on fresh seeds.
        selection: name of the selection rule.
        settings: hyperparameters fixed by the user. A text is converted to the type that the
            detector declares: "0.5" becomes a number if a number is expected.
        keep_models: which trained models are kept, a key of `KEEP_MODELS`.
        false_alarms: wished rate of false alarms of the kept model, in (0, 0.5]; None = that of an
            existing `best/`, otherwise 0.05.
        seed: seed of the study.
        precision: precision of training, "auto", "float32" or "bfloat16".
        budget: "auto", "quick", "standard" or "paper".
        changes: overrides of single budget fields, by field name; classes as numbers or names.
        data: name of a data set, or path of own images, that replaces the search's data set.
        image_size: height and width to which own images are brought.
        resize: rule by which they are, a key of `RESIZINGS`.
        colour: whether own images are read as "grey" or "rgb"; "auto": as they are stored.
        skip_unreadable: whether images that cannot be read are left out and counted.
        time_budget: minutes after which no new trial starts.
        results: folder of the studies.
        data_root: folder of the data sets.
        backend: "ray" or "serial".
        address: address of a Ray cluster, "auto", or "local" for a Ray started on this machine.
        device: "auto", "cpu" or "cuda".
        concurrent: number of trials in parallel; None = as many as the machine has room for.
        retries: how often a trial is trained again whose process or node has died.
        trial_timeout: minutes after which a trial is stopped and counts as failed; None = by an
            estimate.
        cpus: number of cores per trial.
        gpus: number of GPUs per trial; None = decided from the memory of the GPU and its speed.
        log_to: the trackers that are told of the study, keys of `TRACKERS`.
        progress: whether to show what is about to be trained, and the progress line.
        family: name, without that of its data, of a search that no file declares and that runs on
            other data; empty for other searches.

    Raises:
        UserError: if a value is illegal, or two options contradict each other.
    """

    search: str
    ablate: str | None = option(
        None,
        "vary the parameters around their defaults instead of searching. KIND is "
        f"{either(f'{name} ({kind.about})' for name, kind in ABLATIONS.items())} (default: "
        f"{DEFAULT_ABLATION}). Unless --seeds is given, every configuration is trained with at "
        f"least {LEAST_SEEDS} seeds, and with {DEFAULT_ABLATION} with up to {MOST_SEEDS}, if a "
        "change can be significant with them. The result is a separate study, named "
        f"{either(f'SEARCH{kind.suffix}' for kind in ABLATIONS.values())}",
        SEARCH,
        metavar="KIND",
        flag_value=DEFAULT_ABLATION,
        choices=tuple(ABLATIONS),
    )
    detector: str | None = option(
        None,
        "run the search with this detector instead of its own: mine.py:LOF (a file and a class), "
        "my_package.lof:LOF (a module and a class), or the name of a detector of the project or "
        "of an installed package. Its space is the attribute `space` of the class; without one it "
        "is evaluated at its default settings. The study is named SEARCH_CLASS",
        SEARCH,
        metavar="CLASS",
        read=path_text,
        kept=True,
    )
    baselines: tuple[str, ...] = option(
        Names(),
        "run only these of the search's baselines, by name, as in PGN,DeepSVDD for table1_mnist "
        "(--dry-run shows them). The study is named SEARCH_only_A_B",
        SEARCH,
        metavar="A,B",
        read=different_names,
        kept=True,
    )
    resume: bool = option(
        False,
        "continue an interrupted study",
        SEARCH,
        switch=True,
        flag_value=True,
    )
    retry_failed: bool = option(
        False,
        "continue the study, and train its failed trials again",
        SEARCH,
        switch=True,
        flag_value=True,
    )
    accept_changes: bool = option(
        False,
        "go on with a study although the code, the versions or the device that compute its "
        "numbers have changed; the report says so",
        SEARCH,
        switch=True,
        flag_value=True,
    )
    extend: int = option(
        0,
        "add N trials to the study",
        SEARCH,
        metavar="N",
        read=integer,
        minimum=1,
        maximum=LIMITS["trials"][1],
    )
    evaluate: bool = option(
        True,
        "skip the final test of the winner, for which it is trained again on fresh seeds",
        SEARCH,
        flag="--no-evaluation",
        switch=True,
        flag_value=False,
        kept=True,
    )
    selection: str | None = option(
        None,
        f"rule by which the winner is selected: {', '.join(RULES)}; auto: validation if anomalies "
        "are labelled, otherwise a rule without labels (default: the search's own)",
        SEARCH,
        metavar="RULE",
        choices=(AUTO, *RULES),
    )
    settings: Mapping[str, Any] = assignments(
        "fix a hyperparameter instead of searching it; may be repeated",
        SEARCH,
        flag="--set",
        metavar="NAME=VALUE",
    )
    keep_models: str = option(
        "best",
        f"which models are kept: {either(f'{n} ({about})' for n, about in KEEP_MODELS.items())}; "
        "the winner's are then in the folder best/ of the study, for --score",
        SEARCH,
        metavar="WHICH",
        choices=tuple(KEEP_MODELS),
        kept=True,
    )
    false_alarms: float | None = option(
        None,
        "the largest share of normal images that may raise an alarm; the threshold in best/ "
        "follows from it (default: 0.05, or that of an existing best/)",
        SEARCH,
        metavar="RATE",
        read=real,
        minimum=0,
        maximum=0.5,
        excludes_minimum=True,
        kept=True,
    )
    seed: int | None = option(
        None,
        "seed of the study (default: 0)",
        SEARCH,
        metavar="N",
        read=integer,
        minimum=0,
        maximum=LARGEST_SEED,
    )
    precision: str = option(
        AUTO,
        "precision of training: float32, bfloat16, or auto: bfloat16 for colour images on a "
        "processor with instructions for it, if the AUROC of the detector has been shown to be "
        "equivalent, else float32; scores are always computed in float32",
        SEARCH,
        metavar="NAME",
        choices=(AUTO, *PRECISIONS),
    )
    budget: str = option(
        "auto",
        "quick, standard, paper, or auto: standard if there is a GPU, else quick",
        BUDGET,
        metavar="NAME",
        choices=("auto", *BUDGETS),
    )
    changes: Mapping[str, Any] = mapping(
        trials=budget_number("trials", "number of configurations"),
        epochs=budget_number(
            "epochs",
            "training epochs of each model, which are then not searched; pretraining, where a "
            "detector has it, comes on top",
        ),
        seeds=budget_number("seeds", "random seeds (models) per class and configuration"),
        classes=Option("normal classes, by number or name", BUDGET, metavar="A,B", read=names),
        train_images=budget_number("train_images", "maximum number of training images per model"),
        evaluation_seeds=budget_number(
            "evaluation_seeds",
            "number of new models per class for the final test of the winner; 0: none",
        ),
    )
    time_budget: float | None = option(
        None,
        "start no new trial after this time; running trials finish",
        BUDGET,
        **MINUTES,
    )
    results: Path = option(
        Path("results"), "folder of the studies", MACHINE, metavar="DIR", read=path, kept=True
    )
    data: str | None = option(
        None,
        "other images for any search whose tasks are classes: the name of a data set, or the path "
        "of an image folder, a .npz or a .npy",
        DATA,
        metavar="NAME|PATH",
        read=path_text,
        kept=True,
    )
    image_size: ImageSize | None = option(
        None,
        "height and width in pixels to which own images are brought, as 64 or 64x48 (default: "
        "their own size, which must be the same for all)",
        DATA,
        metavar="HxW",
        read=image_size,
        minimum=SMALLEST_SIDE,
        maximum=LARGEST_SIDE,
        unit="pixels",
        kept=True,
    )
    resize: str = option(
        "stretch",
        "rule by which they are brought to that size: "
        f"{either(f'{name} ({about})' for name, about in RESIZINGS.items())}",
        DATA,
        metavar="RULE",
        choices=tuple(RESIZINGS),
        kept=True,
    )
    colour: str = option(
        AUTO,
        "grey, rgb, or auto: grey if all images are grey",
        DATA,
        metavar="MODE",
        choices=(AUTO, "grey", "rgb"),
        kept=True,
    )
    skip_unreadable: bool = option(
        False,
        "leave out images that cannot be read, and duplicates of training images among the test "
        "images, and count them",
        DATA,
        switch=True,
        flag_value=True,
        kept=True,
    )
    data_root: str | None = option(
        None,
        "folder of the data sets (default: $TUNE_AD_DATA, or data if it is not set)",
        DATA,
        metavar="DIR",
        read=path_text,
        kept=True,
    )
    backend: str = option(
        "ray",
        "ray (parallel), or serial (one trial at a time, in one process, without Ray)",
        MACHINE,
        metavar="NAME",
        choices=("ray", "serial"),
        kept=True,
    )
    address: str = option(
        "local",
        "address of a running Ray cluster; auto: the Ray cluster already running on this machine; "
        "local: start Ray for this study",
        MACHINE,
        metavar="HOST:PORT",
        kept=True,
    )
    device: str = option(
        "auto",
        "cpu, cuda, or auto: cuda if there is a GPU",
        MACHINE,
        metavar="NAME",
        choices=("auto", "cpu", "cuda"),
    )
    concurrent: int | None = option(
        None,
        "number of trials in parallel (default: cores / --cpus-per-trial, or GPUs / "
        "--gpus-per-trial if that is less). For a study that can be repeated exactly use "
        "--concurrent 1",
        MACHINE,
        metavar="N",
        read=integer,
        minimum=1,
        maximum=MOST_CORES,
        kept=True,
    )
    retries: int = option(
        2,
        "how often a trial is trained again whose process or node has died before it "
        "counts as failed",
        MACHINE,
        metavar="N",
        read=integer,
        minimum=0,
        maximum=1000,
        kept=True,
    )
    trial_timeout: float | None = option(
        None,
        "stop a trial that has run so long; it counts as failed (default: 20 times the estimate "
        "of the longest trial, and at least 60)",
        MACHINE,
        **MINUTES,
        kept=True,
    )
    cpus: int = option(
        1,
        "number of cores (and threads) per trial",
        MACHINE,
        flag="--cpus-per-trial",
        metavar="N",
        read=integer,
        minimum=1,
        maximum=MOST_CORES,
        kept=True,
    )
    gpus: float | None = option(
        None,
        "number of GPUs per trial; with a fraction, trials share a GPU. auto (default): chosen "
        "from the GPU's memory, how busy a trial keeps it, and the cores",
        MACHINE,
        flag="--gpus-per-trial",
        metavar="X",
        read=share_or_auto,
        minimum=0,
        maximum=MOST_GPUS,
    )
    log_to: tuple[str, ...] = option(
        Names(),
        f"tell these trackers of every trial: {', '.join(TRACKERS)}, or both with a comma. MLflow "
        "is the server at $MLFLOW_TRACKING_URI, or files in the folder of the study; Weights & "
        "Biases is that of your key, or with WANDB_MODE=offline files there, too",
        MACHINE,
        metavar="A,B",
        read=different_names,
        choices=tuple(TRACKERS),
        kept=True,
    )
    progress: bool = option(
        True,
        "show neither progress nor what is about to be trained, only the result and what failed",
        MACHINE,
        flag="--quiet",
        switch=True,
        flag_value=False,
    )
    family: str = ""

    def __post_init__(self) -> None:
        """Check every value that can be checked without the search and the machine.

        Raises:
            UserError: with the option and its value.
        """
        for name, default in defaults().items():
            option, value = OPTIONS[name], getattr(self, name)
            if value != default:
                option.check(value)
        self._check_paths()
        for name, value in self.changes.items():
            if name in OPTIONS and value is not None:
                OPTIONS[name].check(value)
        if in_file := catalogue.file_and_name(self.search):
            search = catalogue.member(self.search) if self.data is not None else self.search
            named = f"{in_file[0]}:{catalogue.find_entry(search).name}"
            object.__setattr__(self, "search", named)
        if self.detector is not None:
            detector_name(self.detector)  # refuses what names no class
        check_form(self.address)
        self._check_contradictions()

    def _check_paths(self) -> None:
        """Check that no path is a URL.

        Raises:
            UserError: with the option and the URL.
        """
        for name in PATHS:
            if (value := getattr(self, name)) is not None:
                local_path(value, OPTIONS[name].flag)

    def _check_contradictions(self) -> None:
        """Check that no option excludes another.

        Raises:
            UserError: with both options.
        """
        seeds = self.changes.get("evaluation_seeds")
        if seeds and not self.evaluate:
            raise UserError(
                f"--no-evaluation contradicts --evaluation-seeds {seeds}; leave one of them out"
            )
        if self.detector is not None and self.baselines:
            raise UserError(
                f"--detector {self.detector} takes the place of all baselines, so --baselines "
                f"{self.baselines} has no effect; leave one of them out"
            )
        if self.ablate is not None and not self.evaluate:
            raise UserError(
                "--ablate tests every trial, so --no-evaluation has no effect; leave it out"
            )
        self._check_data()
        epochs, fixed = self.changes.get("epochs"), self.settings.get("epochs")
        if epochs is not None and fixed is not None and str(epochs) != str(fixed):
            raise UserError(
                f"--epochs {epochs} contradicts --set epochs={fixed}; leave one of them out"
            )
        if self.backend != "serial":
            return
        if self.address != "local":
            raise UserError("--address needs Ray; leave it out, or leave out --backend serial")
        if self.concurrent is not None and self.concurrent > 1:
            raise UserError(
                f"--backend serial runs one trial at a time; leave out --concurrent "
                f"{self.concurrent}, or leave out --backend serial"
            )

    def _check_data(self) -> None:
        """Check that the options of own images are given with own images.

        Raises:
            UserError: with the first that has no effect.
        """
        if self.data is None:
            for name in ("image_size", "resize", "colour", "skip_unreadable"):
                if getattr(self, name) != defaults()[name]:
                    raise UserError(
                        f"{OPTIONS[name].flag} is for own images; give them with --data PATH, or "
                        "leave it out"
                    )
        if self.image_size is None and self.resize != "stretch":
            raise UserError(
                f"--resize {self.resize} needs --image-size; give it, or leave --resize out"
            )

    @property
    def search_name(self) -> str:
        """Name of the search; on other data that of its family and of the data.

        The name of another detector follows, or those of some baselines.

        Raises:
            UserError: if there is no such search, or the data is neither a name nor a path.
        """
        name = catalogue.plain_name(self.search)
        if self.data is not None:
            family = self.family or catalogue.family(self.search)
            name = f"{family}_{short_name(self.data, self.data_root)}"
        if self.detector is not None:
            return f"{name}_{detector_name(self.detector)}"
        return f"{name}_{catalogue.baselines_suffix(self.baselines)}" if self.baselines else name

    @property
    def study(self) -> str:
        """Name of the study: the search's, or its ablation's.

        Raises:
            UserError: as in `search_name`.
        """
        return self.search_name + (ABLATIONS[self.ablate].suffix if self.ablate else "")

    @property
    def own_files(self) -> dict[str, Path]:
        """The files of the user's own code that are named by their paths, by role."""
        roles = {"search_file": self.search, "detector_file": self.detector or ""}
        named = {role: catalogue.file_and_name(text) for role, text in roles.items()}
        return {role: in_file[0] for role, in_file in named.items() if in_file}

    @property
    def chooses_seeds(self) -> bool:
        """Whether the number of seeds of an ablation is left to the program."""
        return self.ablate is not None and self.changes.get("seeds") is None


def _declared() -> dict[str, Option]:
    options: dict[str, Option] = {}
    for attribute in fields(Options):
        if "option" in attribute.metadata:
            options[attribute.name] = attribute.metadata["option"]
        options |= attribute.metadata.get("members", {})
    return {
        name: option._replace(flag=option.flag or f"--{name.replace('_', '-')}")
        for name, option in options.items()
    }


OPTIONS: Mapping[str, Option] = _declared()
"""All options, by the field of `Options` or of `Budget` that they set."""


def defaults() -> dict[str, Any]:
    """The default value of each field of `Options` that one option sets."""
    return {
        attribute.name: attribute.default
        for attribute in fields(Options)
        if "option" in attribute.metadata
    }

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from functools import partial
from pathlib import Path

import pytest

import tune_ad
from tests.marks import slow
from tests.naming import short
from tune_ad.app.command_line.parser import options, parse, resume_command
from tune_ad.search import catalogue
from tune_ad.storage.metric import metrics_from_json

REPOSITORY = Path(__file__).parents[2]
SMALL = ["--backend", "serial", "--trials", "3", "--epochs", "3", "--classes", "0,8"]


@pytest.fixture(scope="module")
def run():
    spec = importlib.util.spec_from_file_location("run", REPOSITORY / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory):
    """The results folder of a small finished study."""
    results = tmp_path_factory.mktemp("results")
    arguments = ["--search", "quickstart", *SMALL, "--results", str(results)]
    assert run.main(arguments) == 0
    return results


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "run.py", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        **options,
    )


def test_list_names_every_search_and_imports_nothing_heavy():
    code = (
        "import sys, runpy; sys.argv = ['run.py', '--list']\n"
        "try: runpy.run_path('run.py', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'ray', 'optuna', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *lines, legend = map(str.split, done.stdout.splitlines())
    names = [line[0] for line in lines]
    assert sorted(names) == sorted(declared())
    assert {f"{d}_{s}" for d in ("pgn", "svdd", "ae") for s in ("mnist", "fmnist", "cifar")} < set(
        names
    )
    assert legend[0] == "*"
    on_own_images = {line[0] for line in lines if line[2] == "*"}
    assert {"quickstart", "pgn_cifar", "table1_mnist"} < on_own_images
    assert not on_own_images & {"capacity_cifar_svhn", "rate_distortion_mnist"}


TYPING_ERRORS = [
    [],
    ["--serach", "quickstart"],
    ["--search", "quikstart"],
    ["--search", "quickstart", "--budget", "quik"],
    ["--search", "quickstart", "--selection", "orcale"],
    ["--search", "quickstart", "--ablate", "al"],
    ["--search", "quickstart", "--trials", "few"],
    ["--report", "quikstart"],
    ["--compare", "quikstart", "pgn"],
    ["--version"],
]


def test_help_is_shown_before_anything_heavy_is_imported():
    code = (
        "import sys\n"
        "from tune_ad.app.command_line.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'ray', 'optuna', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--ablate [KIND]" in done.stdout


def test_typing_errors_are_answered_before_anything_heavy_is_imported(tmp_path):
    code = (
        "import sys\n"
        "from tune_ad.app.command_line.cli import main\n"
        f"for arguments in {TYPING_ERRORS}:\n"
        "    try: code = main(arguments)\n"
        "    except SystemExit as end: code = end.code\n"
        "    assert code == (0 if '--version' in arguments else 2), arguments\n"
        "assert not {'torch', 'ray', 'optuna', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"tune_ad {tune_ad.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--search", "quickstart"], "quickstart: loading PyTorch and the images ..."),
        (
            ["--search", "quickstart", "--dry-run"],
            "quickstart: loading PyTorch and the images ...",
        ),
        (["--report", "study"], "study: writing the report ..."),
        (["--compare", "study", "other"], "comparing study, other ..."),
    ],
    ids=str,
)
def test_a_line_is_printed_before_anything_heavy_is_imported(tmp_path, arguments, line):
    code = (
        "import sys\n"
        "for heavy in ('torch', 'optuna', 'pandas'): sys.modules[heavy] = None\n"
        "from tune_ad.app.command_line.cli import main\n"
        f"main({arguments})"
    )
    for name in ("study", "other"):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "study.json").touch()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert "ModuleNotFoundError" in done.stderr
    assert done.stdout == f"{line}\n"


def test_without_arguments_the_commands_are_shown(run, capsys):
    assert run.main([]) == 2
    shown = capsys.readouterr().err
    assert all(f"--{name}" in shown for name in ("list", "search", "report", "compare", "help"))
    assert len(shown.splitlines()) < 12


def test_a_module_and_a_script_are_the_same_command():
    outputs = [
        subprocess.run(
            [sys.executable, *called, "--list"], cwd=REPOSITORY, capture_output=True, text=True
        ).stdout
        for called in (["run.py"], ["-m", "tune_ad"])
    ]
    assert outputs[0] == outputs[1] != ""
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        scripts = tomllib.load(file)["project"]["scripts"]
    assert scripts == {"tune-ad": "tune_ad.app.command_line.cli:main"}


def test_a_faulty_search_file_does_not_keep_the_others_from_being_listed(
    run, tmp_path, monkeypatch, capsys
):
    package = tmp_path / "listed_spaces"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "faulty.py").write_text("x = = 3")
    (package / "good.py").write_text("x = Search(name='fine', data=('digits',))")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalogue, "PACKAGE", "listed_spaces")
    assert run.main(["--list"]) == 2
    printed = capsys.readouterr()
    assert printed.out.split()[:3] == ["fine", "digits", "*"]
    assert (
        printed.err == "error: listed_spaces/faulty.py, line 1: invalid syntax; correct the file\n"
    )


def declared():
    """The names of every search in the files of `search_spaces`."""
    from tune_ad.search.declaration import Search

    modules = [
        importlib.import_module(f"search_spaces.{path.stem}")
        for path in (REPOSITORY / "search_spaces").glob("[!_]*.py")
    ]
    searches = [value for m in modules for value in vars(m).values() if isinstance(value, Search)]
    return [name for search in searches for name in search.names()]


@pytest.mark.parametrize("quiet", [True, slow(False)])
def test_quiet_leaves_the_result_alone(run, finished, capsys, quiet):
    words = ["--search", "quickstart", *SMALL, "--results", str(finished), *["--quiet"] * quiet]
    assert run.main(words) == 0
    printed = capsys.readouterr()
    told = printed.out.splitlines()
    assert told[-1].startswith("next: open ")
    assert any(line.startswith("Test AUROC of ") for line in told)
    assert any(line.endswith("...") for line in told) != quiet
    assert ("this study is complete" in printed.out) != quiet


def test_quiet_is_of_one_run_and_not_repeated(tmp_path):
    chosen = options(parse(["--search", "quickstart", "--quiet", "--results", str(tmp_path)]))
    assert not chosen.progress
    assert "--quiet" not in resume_command(chosen)


def test_a_search_ends_with_its_result_report_and_tensorboard_command(run, tmp_path, capsys):
    code = run.main(["--search", "quickstart", *SMALL, "--results", str(tmp_path)])
    out = capsys.readouterr().out
    assert code == 0
    folder = tmp_path / "quickstart"
    watch = f"tensorboard --logdir {folder / 'tensorboard'}"
    assert [line for line in out.splitlines() if not line.startswith("too small")][:7] == [
        "quickstart: loading PyTorch and the images ...",
        "quickstart: 3 trials x 2 classes x 2 seeds = 12 models, then 3 fresh seeds x 2 classes "
        "= 6 models",
        "budget quick (no GPU was found), one trial at a time",
        "Trials are ranked by validation AUROC (held-out training images). Test scores are "
        "recorded, but never used to select.",
        "each model: 3 epochs, all training images of the class that are not held out for "
        "validation (about 112 per model), batch_size 20",
        "precision: float32, because grey images are not trained on faster in bfloat16",
        f"kept models: those of the winner on fresh seeds, at most 0.6 MB, in {folder / 'best'} "
        "(--keep-models none turns this off)",
    ]
    assert f"watch: {watch}" in out.splitlines()
    assert "standard" not in out, "a normal start prices no other budget"
    assert "Test AUROC" in out
    assert "(n = 3 seeds)" in out
    assert out.splitlines()[-1] == f"next: open {folder / 'report.html'}; {watch}"
    assert (folder / "report.html").exists()
    assert (folder / "tables" / "trials.csv").exists()


def test_the_winner_is_tested_on_seeds_the_search_never_saw(finished):
    folder = finished / "quickstart"
    searched = lines(folder / "trials.jsonl")
    tested = lines(folder / "evaluation/evaluation.jsonl")
    seeds = [
        {replica["seed"] for record in group for replica in record["replicas"]}
        for group in (searched, tested)
    ]
    assert not seeds[0] & seeds[1]
    metrics = [short(metrics_from_json(record["metrics"])) for record in searched]
    assert [len(values["test_auroc"]) for values in metrics] == [4, 4, 4]
    best = max(searched, key=lambda record: record["objective"])
    assert {record["identity"] for record in tested} == {best["identity"]}


def test_a_dry_run_writes_nothing(run, tmp_path, capsys):
    assert run.main(["--search", "quickstart", "--dry-run", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "latent_dim: one of 8, 16, 32, 64" in out
    searched, retrained = (
        "8 trials x 3 classes x 2 seeds = 48 models",
        "3 fresh seeds x 3 classes = 9 models",
    )
    assert f"* quick: {searched}, then {retrained}; about" in out
    assert not list(tmp_path.iterdir())


def test_classes_of_a_whole_data_set_are_refused(run, tmp_path, capsys):
    arguments = ["--search", "rd_mnist", "--classes", "0", "--results", str(tmp_path)]
    assert run.main(arguments) == 2
    error = capsys.readouterr().err
    assert error == (
        "error: --classes cannot be used with rd_mnist, in which the whole data set is normal; "
        "leave the option out\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "given",
    [
        pytest.param([], id="as it was"),
        slow(["--resume"], id="resumed"),
        pytest.param(SMALL, id="with the same options"),
        slow(["--budget", "quick"], id="with its budget"),
    ],
)
def test_a_finished_study_that_is_run_again_is_only_reported(
    run, finished, capsys, monkeypatch, given
):
    monkeypatch.setitem(sys.modules, "ray", None)  # nothing is trained
    folder = finished / "quickstart"
    before = [(folder / name).read_bytes() for name in ("trials.jsonl", "study.json")]
    (folder / "report.html").unlink()
    assert run.main(["--search", "quickstart", *given, "--results", str(finished)]) == 0
    out = capsys.readouterr().out
    assert "quickstart: this study is complete (quick, 3 of 3 trials done)." in out
    assert "3 of 3 trials complete" in out
    assert f"next: open {folder / 'report.html'}" in out
    assert (folder / "report.html").exists()
    assert [(folder / name).read_bytes() for name in ("trials.jsonl", "study.json")] == before


def test_a_finished_study_is_not_run_with_other_options(run, finished, capsys):
    before = (finished / "quickstart/trials.jsonl").read_bytes()
    arguments = ["--search", "quickstart", "--seed", "7", "--results", str(finished)]
    assert run.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "begun with --seed 0, not with --seed 7" in error
    assert (finished / "quickstart/trials.jsonl").read_bytes() == before


def test_an_explicit_results_folder_is_the_only_one_searched(run, finished, tmp_path, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished)  # where a folder has the name of the study
        assert run.main(["--report", "quickstart", "--results", str(tmp_path / "none")]) == 2
        assert f"the folder {tmp_path / 'none'} does not exist" in capsys.readouterr().err
        assert run.main(["--report", "quickstart", "--results", str(tmp_path)]) == 2
        assert f"{tmp_path} contains no study 'quickstart'" in capsys.readouterr().err
        assert run.main(["--report", "./quickstart", "--results", str(tmp_path)]) == 0


def test_a_report_of_no_study_names_the_studies(run, finished, tmp_path, capsys):
    for given, words in {
        str(tmp_path): f"{tmp_path} contains no study.json; the studies in",
        "": "a study needs a name, got ''; the studies in",
        "zzz": f"{finished} contains no study 'zzz'; the studies in",
    }.items():
        assert run.main(["--report", given, "--results", str(finished)]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert f"the studies in {finished} are: quickstart" in error


def test_a_repeated_record_is_one_line_of_error(run, finished, tmp_path, capsys):
    shutil.copytree(finished / "quickstart", tmp_path / "quickstart")
    for name, words in {
        "trials.jsonl": "trials.jsonl, line 4 repeats trial",
        "evaluation/evaluation.jsonl": "evaluation.jsonl, line 4 repeats the winner",
    }.items():
        path = tmp_path / "quickstart" / name
        text = path.read_text()
        path.write_text(text + text.splitlines(keepends=True)[0])
        assert run.main(["--report", "quickstart", "--results", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
        path.write_text(text)


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        ("| true", 141, ""),
        ("> /dev/full", 3, "error: the output cannot be written: [Errno 28] No space left on"),
    ],
)
def test_an_output_that_cannot_be_written_ends_the_program_in_a_line(output, code, message):
    if "full" in output and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    command = f"{sys.executable} -m tune_ad --list"
    wait = "sleep 0.5; " if output.startswith("|") else ""  # the reader has then gone
    line = f"( {wait}{command} ) {output}; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert ended.stderr.startswith(message) and ended.stderr.count("\n") == bool(message)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_letters_is_no_failure(finished, encoding):
    ended = subprocess.run(
        [sys.executable, "-m", "tune_ad", "--report", "quickstart", "--results", str(finished)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        cwd=REPOSITORY,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    signs = {"ascii": b"?", "latin-1": "±".encode("latin-1")}
    assert b"Test AUROC" in ended.stdout and signs[encoding] in ended.stdout


@pytest.mark.slow
def test_report_repeats_the_result(run, finished, capsys):
    assert run.main(["--report", "quickstart", "--results", str(finished)]) == 0
    first = capsys.readouterr().out
    assert run.main(["--report", "quickstart", "--results", str(finished)]) == 0
    assert capsys.readouterr().out == first
    assert "Test AUROC" in first


@pytest.mark.slow
def test_a_study_is_reported_by_its_path(run, finished, tmp_path, capsys):
    assert run.main(["--report", "quickstart", "--results", str(finished)]) == 0
    by_name = capsys.readouterr().out
    path = str(finished / "quickstart")
    assert run.main(["--report", path, "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().out == by_name


@pytest.mark.slow
def test_an_ablation_is_run_and_reported_under_a_name_of_its_own(run, tmp_path, capsys):
    small = ["--backend", "serial", "--epochs", "1", "--classes", "0,8", "--results", tmp_path]
    arguments = [*map(str, small), "--set", "width=1.0", "--set", "dropout=0.3"]
    assert run.main(["--search", "quickstart", "--ablate", "--dry-run", *arguments]) == 0
    out = capsys.readouterr().out
    assert "* quick: 7 trials x 2 classes x 4 seeds = 56 models; about" in out
    assert f"the study would be written to {tmp_path / 'quickstart-ablation'}" in out
    assert not list(tmp_path.iterdir())
    assert run.main(["--search", "quickstart", "--ablate", *arguments]) == 0
    assert "quickstart-ablation: ablation of quickstart" in capsys.readouterr().out
    folder = tmp_path / "quickstart-ablation"
    (path,) = tmp_path.iterdir()
    assert path == folder
    assert len(lines(folder / "trials.jsonl")) == 7
    assert run.main(["--report", "quickstart-ablation", "--results", str(tmp_path)]) == 0
    assert f"report: {folder / 'report.html'}" in capsys.readouterr().out


def test_two_studies_are_compared(run, finished, capsys):
    other = finished.parent / "other"
    shutil.copytree(finished / "quickstart", other / "mine")
    names = ["quickstart", str(other / "mine")]
    assert run.main(["--compare", *names, "--results", str(finished)]) == 0
    (page,) = (finished / "comparisons").glob("quickstart+mine-*/report.html")
    assert f"report: {page}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--report", "quickstart", "--trials", "4"], "--trials cannot be used with --report"),
        (["--compare", "a", "b", "--dry-run"], "--dry-run cannot be used with --compare"),
        (["--list", "--ablate"], "--ablate cannot be used with --list"),
        (["--report", "quickstart", "--ablate"], "reported by its own name"),
    ],
    ids=str,
)
def test_options_of_a_search_are_refused_with_other_commands(run, capsys, arguments, words):
    with pytest.raises(SystemExit) as stopped:
        run.main(arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_a_faulty_study_does_not_keep_others_from_their_reports(run, finished, capsys):
    names = ["nosuch", "quickstart"]
    assert run.main(["--report", *names, "--results", str(finished)]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "contains no study 'nosuch'" in printed.err
    assert "quickstart/report.html" in printed.out


def test_a_folder_that_cannot_be_written_is_one_line(run, finished, tmp_path, capsys):
    shutil.copytree(finished / "quickstart", tmp_path / "quickstart")
    shutil.rmtree(tmp_path / "quickstart" / "tables")
    (tmp_path / "quickstart" / "tables").write_text("a file where a folder should be")
    assert run.main(["--report", "quickstart", "--results", str(tmp_path)]) == 3
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--search", "pgn_cifra"], ["pgn_cifra", "pgn_cifar"]),
        (["--report", "nothing_here"], ["nothing_here", "--search"]),
        (["--search", "quickstart", "--set", "beta=4"], ["beta", "beta1 or beta2"]),
        (["--search", "quickstart", "--set", "lr=0.1"], ["lr", "did you mean learning_rate"]),
        (["--search", "quickstart", "--set", "zzz=4"], ["zzz", "dropout", "mc_samples"]),
        (["--search", "quickstart", "--set", "dropout=1.5"], ["dropout", "1.5", "[0, 1)"]),
        (["--search", "quickstart", "--set", "dropout=much"], ["dropout", "much", "number"]),
        (["--search", "quickstart", "--set", "dropout"], ["name=value", "dropout"]),
        (["--search", "quickstart", "--classes", "0,ten"], ["ten", "digits"]),
        (["--search", "quickstart", "--budget", "huge"], ["huge", "standard"]),
        (["--search", "quickstart", "--selection", "luck"], ["luck", "oracle"]),
        (["--search", "quickstart", "--trials", "0"], ["trials", "0"]),
        (["--search", "quickstart", "--data-root", "/no/such/folder"], ["/no/such/folder"]),
        (["--search", "quickstart", "--gpus-per-trial", "64"], ["64", "--gpus-per-trial"]),
        (["--search", "quickstart", "--resume"], ["no study"]),
        (
            ["--search", "quickstart", "--budget", "paper", "--trials", "5"],
            [
                "--selection validation",
                "--budget quick or standard",
                "another rule: oracle, random",
            ],
        ),
        (["--search", "quickstart", "--set", "width=0.01"], ["width", "0.01", "channel"]),
        (["--search", "quickstart", "--wrong-option"], ["--wrong-option"]),
        (["--search", "quickstart", "--ablate", "twice"], ["--ablate", "twice", "sobol"]),
        (
            ["--search", "ablate_pgn_mnist", "--ablate"],
            ["already has the plan 'one parameter at a time'"],
        ),
        (["--search", "table1_mnist", "--ablate"], ["table1_mnist", "nothing to ablate"]),
        (["--search", "quickstart", "--ablate", "--selection", "oracle"], ["--selection"]),
        (["--compare", "quickstart"], ["--compare", "two", "'quickstart'"]),
        (["--compare", "nothing", "here"], ["no study 'nothing'", "results does not exist"]),
        (["--compare", "a", "b", "--search", "c"], ["--search", "--compare"]),
        ([], ["--search"]),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    run, tmp_path, monkeypatch, capsys, arguments, words
):
    monkeypatch.setenv("TUNE_AD_DATA", str(tmp_path))
    results = tmp_path / "results"
    try:
        code = run.main([*arguments, "--results", str(results)])
    except SystemExit as end:
        code = end.code
    error = capsys.readouterr().err
    assert code == 2
    assert error.count("\n") == 1, error
    assert all(word in error for word in words), error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", ["run", slow("report")])
def test_ctrl_c_at_any_time_says_how_to_go_on(run, tmp_path, monkeypatch, capsys, where):
    from tune_ad.app import session
    from tune_ad.app.command_line import cli

    def interrupted(*arguments):
        raise KeyboardInterrupt

    if where == "run":  # after the description is written, as while Ray starts
        monkeypatch.setattr(session.Session, "backend", interrupted)
    else:
        monkeypatch.setattr(cli, "_write_report", interrupted)
    arguments = ["--search", "quickstart", *SMALL, "--results", str(tmp_path)]
    assert run.main(arguments) == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        "interrupted; continue with: tune-ad --search quickstart --resume --results "
        f"{tmp_path} --backend serial"
    )


def test_a_ray_that_does_not_start_says_how_to_go_on(run, tmp_path, monkeypatch, capsys):
    from tune_ad.app import session
    from tune_ad.errors import MachineError

    def fails(*arguments):  # after the description is written
        raise MachineError("Ray does not start")

    monkeypatch.setattr(session.Session, "backend", fails)
    arguments = ["--search", "quickstart", *SMALL, "--results", str(tmp_path)]
    assert run.main(arguments) == 3
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "error: Ray does not start",
        "continue with: tune-ad --search quickstart --resume --results "
        f"{tmp_path} --backend serial",
    ]


def test_ctrl_c_before_anything_is_written_is_only_an_interruption(
    run, tmp_path, monkeypatch, capsys
):
    from tune_ad.app.command_line import cli

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert run.main(["--search", "quickstart", "--results", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trials", "-1"], "--trials must be at least 1, got -1"),
        (["--seeds", "999999999", "--dry-run"], "--seeds must be at most 1000"),
        (["--classes", ""], "--classes must be names"),
        (["--results", "run.py"], "run.py is not a writable folder"),
        (["--results", "/proc/nowhere"], "/proc is not a writable folder"),
        (["--resume"], "contains no study to continue; leave out --resume"),
        (["--extend", "2"], "contains no study to continue; leave out --extend 2"),
        (["--results", "{finished}", "--resume", "--selection", "oracle"], "begun with"),
        (["--results", "{finished}", "--resume", "--seed", "7"], "begun with --seed 0, not"),
        (
            ["--results", "{finished}", "--resume", "--precision", "bfloat16"],
            "begun with --precision float32, not with --precision bfloat16",
        ),
        (["--results", "{finished}", "--resume", "--trials", "2"], "--trials 2 is too few"),
        (["--results", "{finished}", "--resume", "--epochs", "9"], "not with --epochs 9"),
    ],
    ids=str,
)
def test_cheap_checks_come_before_anything_heavy_is_imported(finished, tmp_path, arguments, words):
    given = [text.format(finished=finished) for text in arguments]
    results = [] if "--results" in given else ["--results", str(tmp_path / "results")]
    code = (
        "import sys\n"
        "for heavy in ('torch', 'optuna', 'ray', 'pandas'): sys.modules[heavy] = None\n"
        "from tune_ad.app.command_line.cli import main\n"
        f"sys.exit(main({['--search', 'quickstart', *given, *results]}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    is_of_the_machine = "is not a writable folder" in words
    assert (done.returncode, done.stdout) == (3 if is_of_the_machine else 2, "")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "backend", "code"),
    [
        (signal.SIGINT, "serial", 130),
        (signal.SIGTERM, "serial", 143),
        (signal.SIGUSR1, "serial", 143),
        (signal.SIGINT, "ray", 130),
        (signal.SIGTERM, "ray", 143),
    ],
)
def test_a_signal_leaves_a_study_that_resumes(tmp_path, sent, backend, code):
    arguments = [
        "--search",
        "quickstart",
        "--backend",
        backend,
        "--epochs",
        "6",
        "--classes",
        "0",
        "--evaluation-seeds",
        "1",
        "--results",
        tmp_path,
    ]
    process = subprocess.Popen(
        [sys.executable, "run.py", *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs, and so their children, deaf to Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    trials = tmp_path / "quickstart/trials.jsonl"
    deadline = time.monotonic() + 400
    while not (trials.exists() and trials.read_text().count("\n") >= 2):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(sent)
    out, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert "continue with: python run.py --search quickstart --resume --results" in out
    kept = trials.read_bytes()
    again = command(
        "--search", "quickstart", "--resume", "--backend", "serial", "--results", tmp_path
    )
    assert again.returncode == 0, again.stderr
    assert trials.read_bytes().startswith(kept)
    numbers = [line["number"] for line in lines(trials)]
    assert sorted(numbers) == list(range(8))

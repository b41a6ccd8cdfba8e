"""Search, ablate and report deep anomaly detectors."""

import argparse
import ast
import sys
from pathlib import Path
from typing import Any, NoReturn

EXAMPLES = """examples:
  python run.py --list
  python run.py --search quickstart
  python run.py --search pgn_cifar --dry-run
  python run.py --search pgn_cifar --classes airplane,cat --trials 20 --set width=1.0
  python run.py --search pgn_cifar --resume
  python run.py --search pgn_cifar --ablate
  python run.py --report pgn_cifar
  python run.py --compare pgn_cifar svdd_cifar

exit codes: 0 done, 1 some trials failed, 2 wrong input, 130 interrupted (--resume goes on)"""


Group = argparse._ArgumentGroup


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        self.exit(2, f"error: {message}; --help shows every option\n")


def assignment(text: str) -> tuple[str, Any]:
    """A parameter and its value from "name=value"; a value that is no Python literal is a text."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise argparse.ArgumentTypeError(f"wants name=value, got {text!r}")
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
    return name, tuple(parsed) if isinstance(parsed, list) else parsed


def parser() -> Parser:
    """The options."""
    own = Parser("run.py", description=__doc__, epilog=EXAMPLES, allow_abbrev=False)
    own.formatter_class = argparse.RawDescriptionHelpFormatter
    what = own.add_argument_group("what to do (one of)").add_mutually_exclusive_group(
        required=True
    )
    what.add_argument("--list", action="store_true", help="every search, a line each")
    what.add_argument("--search", metavar="NAME", help="run a search, then report it")
    what.add_argument(
        "--report",
        metavar="NAME",
        nargs="+",
        help="report studies, also running ones: names under --results, or paths of their folders",
    )
    what.add_argument(
        "--compare",
        metavar="NAME",
        nargs="+",
        help="put two or more studies side by side, named as for --report",
    )

    _search_options(own.add_argument_group("the search"))
    _budget_options(own.add_argument_group("the budget"))
    _machine_options(own.add_argument_group("the machine"))
    return own


def _search_options(how: Group) -> None:
    how.add_argument(
        "--ablate",
        nargs="?",
        const="one",
        choices=("one", "grid", "sobol"),
        help="vary its parameters around the defaults instead, each configuration tested on 3 "
        "seeds or more unless --seeds says otherwise: one at a time (default), every "
        "combination, or spread evenly; a study of its own, NAME-ablation, NAME-grid, NAME-sobol",
    )
    how.add_argument(
        "--dry-run", action="store_true", help="space, panel, time and disk; train nothing"
    )
    how.add_argument("--resume", action="store_true", help="go on with the study in the folder")
    how.add_argument(
        "--extend", type=int, default=0, metavar="N", help="add N trials to the study"
    )
    how.add_argument(
        "--no-evaluation", action="store_true", help="do not retrain the winner on fresh seeds"
    )
    how.add_argument(
        "--selection", metavar="RULE", help="validation, normal_only, likelihood, oracle or random"
    )
    how.add_argument(
        "--set",
        type=assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="fix a parameter, which is then not varied, by --ablate neither; may be repeated",
    )
    how.add_argument("--seed", type=int, metavar="N", help="of the study (default 0)")


def _budget_options(size: Group) -> None:
    size.add_argument(
        "--budget",
        default="auto",
        help="quick, standard, paper or auto (default: standard where there is a GPU, else quick)",
    )
    size.add_argument("--trials", type=int, metavar="N", help="configurations")
    size.add_argument("--epochs", type=int, metavar="N", help="of each model's main stage")
    size.add_argument("--seeds", type=int, metavar="N", help="models per class and configuration")
    size.add_argument("--classes", metavar="A,B", help="normal classes, by number or name")
    size.add_argument("--train-images", type=int, metavar="N", help="at most so many per model")
    size.add_argument(
        "--evaluation-seeds", type=int, metavar="N", help="fresh seeds for the winner"
    )
    size.add_argument("--time-budget", type=float, metavar="MINUTES", help="start no trial later")


def _machine_options(where: Group) -> None:
    where.add_argument(
        "--backend",
        choices=("ray", "serial"),
        default="ray",
        help="serial: in this process, without Ray",
    )
    where.add_argument("--address", default="local", help="of a running Ray cluster, or auto")
    where.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    where.add_argument(
        "--concurrent", type=int, metavar="N", help="trials at a time (default: as many as fit)"
    )
    where.add_argument(
        "--cpus-per-trial", type=int, default=1, metavar="N", help="and threads (default 1)"
    )
    where.add_argument(
        "--gpus-per-trial", type=float, metavar="X", help="fractions share a GPU (default 0.25)"
    )
    where.add_argument(
        "--data-root", metavar="DIR", help="data sets (default: $TUNE_AD_DATA or data/)"
    )
    where.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="studies (default results/)",
    )


def options(arguments: argparse.Namespace) -> Any:  # noqa: ANN401
    """The arguments as a session takes them.

    Raises:
        UserError: if a parameter is fixed twice.
    """
    from tune_ad.app.options import Options
    from tune_ad.errors import UserError

    settings: dict[str, Any] = {}
    for name, value in arguments.set:
        if name in settings:
            raise UserError(
                f"--set fixes {name} twice, to {settings[name]!r} and {value!r}; give it once"
            )
        settings[name] = value
    names = ("trials", "epochs", "seeds", "train_images", "evaluation_seeds")
    changes = {name: getattr(arguments, name) for name in names}
    changes["classes"] = (
        None
        if arguments.classes is None
        else [each.strip() for each in arguments.classes.split(",")]
    )
    return Options(
        search=arguments.search,
        ablate=arguments.ablate,
        budget=arguments.budget,
        changes={name: value for name, value in changes.items() if value is not None},
        settings=settings,
        selection=arguments.selection,
        seed=arguments.seed,
        resume=arguments.resume,
        extend=arguments.extend,
        time_budget=arguments.time_budget,
        evaluate=not arguments.no_evaluation,
        backend=arguments.backend,
        device=arguments.device,
        concurrent=arguments.concurrent,
        cpus=arguments.cpus_per_trial,
        gpus=arguments.gpus_per_trial,
        address=arguments.address,
        data_root=arguments.data_root,
        results=arguments.results,
    )


def list_searches() -> int:
    """Print every search."""
    from tune_ad.search.catalogue import entries

    found = entries()
    wide = max(map(len, found), default=0)
    for entry in found.values():
        print(f"{entry.name:<{wide}} {entry.data:<8} {entry.title}")
    return 0


def search(arguments: argparse.Namespace) -> int:
    """Run a search and report it, or say what it would take."""
    from tune_ad.app.console import closing, opening, plan
    from tune_ad.app.validation import prepare

    session = prepare(options(arguments))
    if arguments.dry_run:
        print(plan(session))
        return 0
    print(opening(session), flush=True)
    outcome = session.run()
    report([session.study.name], arguments.results)
    print(closing(session, outcome))
    return outcome.exit_code


def report(names: list[str], results: Path) -> int:
    """Write and print the reports of studies; a faulty one does not keep others from theirs."""
    from analysis.report.study_report import write_report
    from tune_ad.errors import UserError
    from tune_ad.storage.folder import study_folder

    code = 0
    for name in names:
        try:
            written = write_report(study_folder(results, name))
        except (UserError, OSError) as error:
            print(f"error: {said(error)}", file=sys.stderr)
            code = 2
            continue
        print(written.summary)
        print(f"report: {written.path}")
    return code


def compare(names: list[str], results: Path) -> int:
    """Write and print the comparison of studies."""
    from analysis.questions.comparison.studies import compare as comparison
    from analysis.report.render.export import export
    from analysis.study import StudyRecords
    from tune_ad.storage.folder import comparison_folder, study_folder

    studies = [StudyRecords.read(study_folder(results, name)) for name in names]
    made = comparison(studies)
    print(made.summary)
    try:
        written = export(made, comparison_folder(results, names))
    except OSError as error:
        print(f"error: {said(error)}", file=sys.stderr)
        return 2
    print(f"report: {written.html}")
    return 0


def said(error: Exception) -> str:
    """One line about an error: of the disk, which file and what to do."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}; make it readable and writable, or copy it"
    return str(error)


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    own = parser()
    arguments = own.parse_args(argv)
    if arguments.compare and len(arguments.compare) < 2:
        own.error(f"--compare wants two studies or more, got {arguments.compare[0]!r} alone")
    refuse_idle(own, arguments)
    from tune_ad.errors import UserError

    try:
        if arguments.list:
            return list_searches()
        if arguments.report:
            return report(arguments.report, arguments.results)
        if arguments.compare:
            return compare(arguments.compare, arguments.results)
        return search(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def refuse_idle(own: Parser, arguments: argparse.Namespace) -> None:
    """Refuse options of a search beside a command that runs none.

    Exits with code 2 and one line.
    """
    if arguments.search is not None:
        return
    used = {"list", "report", "compare", "results"}
    for name, value in vars(arguments).items():
        if name not in used and value != own.get_default(name):
            flag = f"--{name.replace('_', '-')}"
            command = next(c for c in ("list", "report", "compare") if getattr(arguments, c))
            hint = "; an ablation is reported by its own name, as in NAME-ablation"
            own.error(
                f"{flag} does not go with --{command}; leave it out"
                + (hint if name == "ablate" else "")
            )

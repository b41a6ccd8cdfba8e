"""The command line, generated from the declared options."""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from tune_ad import __version__
from tune_ad.app.command_line.option import BUDGET, Option, path, port, possible
from tune_ad.app.command_line.options import (
    DATA,
    DEFAULT_ABLATION,
    MACHINE,
    OPTIONS,
    SEARCH,
    Options,
    defaults,
)
from tune_ad.errors import UserError, cut, did_you_mean
from tune_ad.search.ablation import ABLATIONS
from tune_ad.wording import is_obeyed, printable

LONGEST_ARGUMENT = 4096  # characters, as of a path
SHOWN = 60  # characters of an argument that is too long
COMMANDS: Mapping[str, Mapping[str, Any]] = {
    "list": {"action": "store_true", "help": "list every search"},
    "search": {
        "metavar": "NAME",
        "type": possible,
        "help": "run a search, then report it; NAME is a name that --list shows, or a file, as in "
        "mine.py:mine_mnist (the name in a file may be left out if it declares a single search)",
    },
    "report": {
        "metavar": "NAME",
        "nargs": "+",
        "type": possible,
        "help": "write the report of one or more studies, also while they run; NAME is a name "
        "under --results, or the path of a folder with a / in it",
    },
    "serve": {
        "metavar": "NAME",
        "type": possible,
        "help": "show the report of a study in a browser on this machine; it is written again, "
        "and the page reloaded, when trials end. Ctrl-C ends it",
    },
    "compare": {
        "metavar": "NAME",
        "nargs": "+",
        "type": possible,
        "help": "compare two or more studies, given as for --report",
    },
    "score": {
        "metavar": "DIR",
        "type": path,
        "help": "score new images by a kept model, the folder best/ of a study",
    },
    "export": {
        "metavar": "DIR",
        "type": path,
        "help": "write a kept model as .onnx or as a program of PyTorch (.pt2), which score "
        "without this project; --output chooses the format by its suffix",
    },
}
SCORING: Mapping[str, Mapping[str, Any]] = {
    "input": {
        "metavar": "PATH",
        "type": path,
        "help": "the images: a folder (also nested), a file, a .npz or a .npy",
    },
    "output": {
        "metavar": "FILE",
        "type": path,
        "help": "the file to write: the CSV file of --score (path, score, p_value, alarm, "
        "problem; one row an image), or that of --export",
    },
    "heatmaps": {
        "metavar": "DIR",
        "type": path,
        "help": "write a picture for each image: the image and where it is anomalous",
    },
}
"""The options of --score and --export alone."""
SERVING: Mapping[str, Mapping[str, Any]] = {
    "port": {
        "metavar": "N",
        "type": port,
        "help": "the port of --serve, on 127.0.0.1 (default: one that is free)",
    },
}
"""The options of --serve alone."""
WITH_EVERY_COMMAND = {"results"}
USED: Mapping[str, set[str]] = {
    "score": {*SCORING, "classes", "false_alarms", "skip_unreadable"},
    "export": {"output", "classes"},
    "serve": {*SERVING},
}
"""The options that have an effect with a command, beside those of every command."""
NEEDED: Mapping[str, tuple[str, ...]] = {"score": ("input", "output"), "export": ("output",)}
FLAGS = {
    **{name: f"--{name}" for name in (*COMMANDS, *SCORING, *SERVING, "help", "version")},
    "dry_run": "--dry-run",
    **{name: option.flag for name, option in OPTIONS.items()},
}
"""Command-line flags by field name."""
ABOUT = (
    "Search and ablate hyperparameters of deep anomaly detectors, and report the results with "
    "tests and intervals."
)
EXAMPLES = """examples, in an order in which all of them work:
  {prog} --list
  {prog} --search quickstart
  {prog} --search pgn_cifar --dry-run
  {prog} --search pgn_cifar
  {prog} --search pgn_cifar --resume
  {prog} --search pgn_cifar --extend 20
  {prog} --search pgn_cifar --ablate
  {prog} --search vae --data photos/ --image-size 64
  {prog} --search pgn_cifar --classes airplane,cat --trials 20 --set width=1.0 \\
      --results two_classes
  {prog} --report pgn_cifar pgn_cifar-ablation
  {prog} --serve pgn_cifar
  {prog} --compare pgn_cifar two_classes/pgn_cifar

  {prog} --score results/pgn_cifar/best --classes cat --input photos/ \\
      --output scores.csv
  {prog} --export results/pgn_cifar/best --classes cat --output model.onnx

exit codes:
  0    done; every trial completed
  1    some trials failed; the report gives the reasons
  2    invalid input; nothing is written. If one of several studies to report is
       invalid, the others are still reported
  3    the machine fails: a disk or folder cannot be written, Ray does not answer
       or ends, or something ends the study's own process; what was written is
       kept, and --resume continues
  130  interrupted by Ctrl-C; --resume continues (with --serve: its usual end)
  141  nobody reads the output any more
  143  ended by SIGTERM or SIGUSR1, as schedulers send them, or SIGHUP; --resume continues

The percentage of the progress line is that of the epochs of all trials, of
which each counts equally."""
KEPT_EXAMPLES = {
    "score": "--score results/STUDY/best --input photos/ --output scores.csv",
    "export": "--export results/STUDY/best --output model.onnx",
}
SHORT_HELP = """{prog} searches and ablates hyperparameters of deep anomaly detectors.

  {prog} --list                 list every search
  {prog} --search quickstart    a first search, about half a minute
  {prog} --search NAME          run a search, then report it
  {prog} --report NAME          report a study
  {prog} --serve NAME           show its report while it runs
  {prog} --score DIR            score new images by a kept model
  {prog} --compare NAME NAME    compare studies
  {prog} --help                 every option"""


def program() -> str:
    """The command by which this program was called, as a user would type it again."""
    called = Path(sys.argv[0])
    if called.name == "run.py":
        return "python run.py"
    if called.name == "__main__.py" and called.parent.name == "tune_ad":
        return "python -m tune_ad"
    return "tune-ad"


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        plain = message.replace("argument --", "--").replace(": must ", " must ")
        self.exit(2, f"error: {printable(cut(plain))}\n")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; options that were not given are absent from the namespace.

    Exits with code 2 and a one-line error if there is no command, an option is unknown or not
    allowed with the command, or an argument is too long or has control characters.
    """
    parser = _parser()
    for argument in argv:
        if fault := _fault_of_text(argument):
            parser.error(fault)
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(_unknown(unknown))
    command = next((name for name in COMMANDS if name in arguments), None)
    if command is None:
        flags = [f"--{name}" for name in COMMANDS]
        parser.error(f"no command; use one of {', '.join(flags[:-1])} and {flags[-1]}")
    if fault := _fault(arguments, command):
        parser.error(fault)
    return arguments


def _fault_of_text(argument: str) -> str:
    """What is wrong with an argument as a text; empty if nothing is."""
    if argument == "--" or argument.endswith("=--"):
        return f"{cut(argument)}: -- is no value and ends no options; leave it out"
    if len(argument) > LONGEST_ARGUMENT:
        return (
            f"an argument must have at most {LONGEST_ARGUMENT} characters, got {len(argument)}: "
            f"{argument[:SHOWN]!r} ...; shorten it"
        )
    if is_obeyed(argument):
        return f"an argument has control characters: {argument!r}; leave them out"
    return ""


def _fault(arguments: argparse.Namespace, command: str) -> str:
    """What is wrong with the options of a command; empty if nothing is."""
    if command == "compare" and len(arguments.compare) < 2:
        return f"--compare needs at least two studies, got only {arguments.compare[0]!r}"
    if command in ("report", "compare"):
        named = getattr(arguments, command)
        if twice := [name for k, name in enumerate(named) if name in named[:k]]:
            return f"--{command} names {twice[0]!r} twice; name each study once"
    if idle := sorted(vars(arguments).keys() & _without_effect(command)):
        return _idle(idle[0], command)
    if lacking := [name for name in NEEDED.get(command, ()) if name not in arguments]:
        return f"--{command} needs --{lacking[0]}; give it, as in {KEPT_EXAMPLES[command]}"
    return ""


def _without_effect(command: str) -> set[str]:
    """The options that have no effect with a command."""
    if command == "search":
        return {*SCORING, *SERVING}
    return (
        {*OPTIONS, *SCORING, *SERVING, "dry_run"} - USED.get(command, set()) - WITH_EVERY_COMMAND
    )


def _parser() -> Parser:
    parser = Parser(
        program(),
        usage="%(prog)s COMMAND [options]",
        description=ABOUT,
        epilog=EXAMPLES.format(prog=program()),
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tune_ad {__version__}")
    commands = parser.add_argument_group("commands (one of them)").add_mutually_exclusive_group()
    for name, settings in COMMANDS.items():
        commands.add_argument(f"--{name}", **settings)
    groups = {title: parser.add_argument_group(title) for title in (SEARCH, DATA, BUDGET, MACHINE)}
    groups[SEARCH].add_argument(
        "--dry-run",
        action="store_true",
        help="show the search space, the number of models and the estimated time and disk "
        "space; no study is trained or written, but missing images are downloaded",
    )
    scoring = parser.add_argument_group("kept models")
    for name, settings in SCORING.items():
        scoring.add_argument(f"--{name}", **settings)
    serving = parser.add_argument_group("reports that are served")
    for name, settings in SERVING.items():
        serving.add_argument(f"--{name}", **settings)
    for name, option in OPTIONS.items():
        groups[option.group].add_argument(option.flag, dest=name, **_settings(name, option))
    return parser


def _settings(name: str, option: Option) -> dict[str, Any]:
    """The arguments of `add_argument` for an option."""
    default = defaults().get(name)
    has_default = (
        isinstance(default, (str, int, Path)) and not isinstance(default, bool) and default
    )
    text = f"{option.help} (default: {default})" if has_default else option.help
    if option.switch:
        return {"action": "store_const", "const": option.flag_value, "help": text}
    settings = {"type": option.read, "metavar": option.metavar, "help": text}
    if option.flag_value is not None:
        settings |= {"nargs": "?", "const": option.flag_value}
    return settings | ({"action": "append"} if option.repeated else {})


def _unknown(arguments: Sequence[str]) -> str:
    """The error message for unrecognised arguments."""
    flag = next((argument for argument in arguments if argument.startswith("-")), None)
    if flag is None:
        return f"unexpected argument {arguments[0]!r}; --search NAME runs a search"
    flag = flag.partition("=")[0]
    return f"unknown option {flag}; " + (
        did_you_mean(flag, FLAGS.values()) or "--help shows every option"
    )


def _idle(name: str, command: str) -> str:
    """The error message for an option of a search that is used with another command."""
    ablation = f"NAME{ABLATIONS[DEFAULT_ABLATION].suffix}"
    hint = f"; an ablation is reported by its own name, as in --report {ablation}"
    return f"{FLAGS[name]} cannot be used with --{command}; leave it out" + (
        hint if name == "ablate" else ""
    )


def options(arguments: argparse.Namespace) -> Options:
    """The options of a search.

    Raises:
        UserError: if a value is illegal, or a parameter is fixed twice.
    """
    attributes = vars(arguments)
    for name in OPTIONS.keys() & attributes.keys():
        OPTIONS[name].check(attributes[name])  # also of a value that equals the default
    values: dict[str, Any] = {}
    for attribute in fields(Options):
        if members := attribute.metadata.get("members"):
            values[attribute.name] = {
                name: attributes[name] for name in members if name in attributes
            }
        elif attribute.name in attributes:
            values[attribute.name] = attributes[attribute.name]
    if "settings" in values:
        values["settings"] = _mapping(values["settings"])
    return Options(**values)


def resume_command(options: Options) -> str:
    """The command that continues a study, with the options that must be repeated."""
    words = [options.search, *(["--ablate", options.ablate] if options.ablate else []), "--resume"]
    for name, default in defaults().items():
        value = getattr(options, name)
        if OPTIONS[name].kept and value != default:
            words += [OPTIONS[name].flag, *([] if OPTIONS[name].switch else [str(value)])]
    return f"{program()} --search {shlex.join(words)}"


def going_on(options: Options) -> str:
    """What to do to continue a study, as the end of a line."""
    return f"continue with: {resume_command(options)}"


def _mapping(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """A mapping from (name, value) pairs.

    Raises:
        UserError: if a name occurs twice.
    """
    mapping: dict[str, str] = {}
    for name, value in pairs:
        if name in mapping:
            raise UserError(
                f"--set gives {name} twice ({mapping[name]} and {value}); give it once"
            )
        mapping[name] = value
    return mapping

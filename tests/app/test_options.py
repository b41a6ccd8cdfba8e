"""Options are declared once: the command line, its help, its defaults and its checks follow."""

import argparse
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from tune_ad.app.command_line import parser
from tune_ad.app.command_line.option import Names
from tune_ad.app.command_line.options import OPTIONS, Options, defaults
from tune_ad.errors import UserError, cut, nearest
from tune_ad.search.ablation import ABLATIONS
from tune_ad.search.budgets import BUDGETS, Budget
from tune_ad.selection import RULES


def read(line):
    """The options that a line of the command line gives."""
    return parser.options(parser.parse(shlex.split(line)))


def refused(line, capsys):
    """The one line with which the command line refuses its arguments."""
    with pytest.raises(SystemExit) as stopped:
        parser.parse(shlex.split(line))
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message.strip()


def test_what_is_not_given_has_the_default_of_the_field():
    assert read("--search pgn_mnist") == Options("pgn_mnist")


def test_every_option_sets_its_field():
    chosen = read(
        "--search x --ablate grid --resume --extend 2 --selection oracle --seed 3 "
        "--precision bfloat16 "
        "--set width=1.0 --set milestones=0.5,0.75 --budget paper --trials 4 --epochs 5 --seeds 6 "
        "--classes 'airplane, 3' --train-images 7 --evaluation-seeds 8 --time-budget 9.5 "
        "--backend ray --address auto --device cpu --concurrent 10 --cpus-per-trial 11 "
        "--gpus-per-trial 0.5 --data-root here --results there"
    )
    changes = {"trials": 4, "epochs": 5, "seeds": 6, "classes": ["airplane", "3"]}
    assert chosen == Options(
        "x",
        precision="bfloat16",
        ablate="grid",
        resume=True,
        extend=2,
        selection="oracle",
        settings={"width": "1.0", "milestones": "0.5,0.75"},
        seed=3,
        budget="paper",
        changes={**changes, "train_images": 7, "evaluation_seeds": 8},
        time_budget=9.5,
        results=Path("there"),
        data_root="here",
        backend="ray",
        address="auto",
        device="cpu",
        concurrent=10,
        cpus=11,
        gpus=0.5,
    )


def test_a_study_of_some_baselines_is_named_by_them_whatever_their_order_and_case():
    names = {read(f"--search table1_mnist --baselines {a}").study for a in ("PGN,AE", "ae,pgn")}
    assert names == {"table1_mnist_only_ae_pgn"}
    chosen = read("--search table1_mnist --baselines AE --ablate")
    assert chosen.study == "table1_mnist_only_ae-ablation"
    assert parser.resume_command(chosen).endswith("--baselines AE")


def test_switches_and_the_other_backend():
    assert read("--search x --no-evaluation --backend serial") == Options(
        "x", evaluate=False, backend="serial"
    )


def test_every_field_but_two_is_an_option():
    set_by_options = {name for name in OPTIONS if name in defaults()} | {"changes"}
    assert {attribute.name for attribute in fields(Options)} - set_by_options == {
        "search",
        "family",
    }
    changes = set(OPTIONS) - set(defaults())
    assert changes <= {attribute.name for attribute in fields(Budget)}


def test_the_names_that_are_legal_are_those_that_exist():
    assert OPTIONS["ablate"].choices == tuple(ABLATIONS)
    assert OPTIONS["selection"].choices == ("auto", *RULES)
    assert OPTIONS["budget"].choices == ("auto", *BUDGETS)


def test_an_ablation_is_one_at_a_time_unless_it_is_named():
    assert read("--search x --ablate --dry-run").ablate == "one"
    assert Options("x", ablate="one").study == "x-ablation"


def test_help_says_of_every_kind_of_ablation_what_it_does_and_how_its_study_is_called():
    text = OPTIONS["ablate"].help
    for name, kind in ABLATIONS.items():
        assert f"{name} ({kind.about})" in text
        assert kind.suffix in text
        assert Options("x", ablate=name).study == f"x{kind.suffix}"


def test_help_shows_every_option_and_its_default(capsys):
    with pytest.raises(SystemExit) as stopped:
        parser.parse(["--help"])
    assert stopped.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for flag in parser.FLAGS.values():
        assert flag in shown
    assert "(default: results)" in shown
    assert "For a study that can be repeated exactly use --concurrent 1" in shown
    assert "If one of several studies to report is invalid, the others are still reported" in shown
    assert all(len(line) < 100 for line in shown.splitlines() if "--search pgn" not in line)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"budget": "quik"}, "--budget must be one of .*, got 'quik'; did you mean quick?"),
        (
            {"precision": "bfloat61"},
            "--precision must be one of auto, float32, bfloat16, got 'bfloat61'; did you mean "
            "bfloat16?",
        ),
        ({"selection": "Oracle"}, "--selection must be .*, got 'Oracle'; did you mean oracle?"),
        ({"ablate": "sobl"}, "--ablate must be one of one, grid, sobol, .*; did you mean sobol?"),
        ({"device": "gpu"}, "--device must be one of auto, cpu, cuda, got 'gpu'$"),
        ({"concurrent": 0}, "--concurrent must be at least 1, got 0"),
        ({"gpus": float("nan")}, "--gpus-per-trial must be at least 0, got nan"),
        ({"time_budget": 0.0}, "--time-budget must be more than 0 minutes, got 0"),
        ({"extend": -1}, "--extend must be at least 1, got -1"),
        ({"changes": {"trials": -1}}, "--trials must be at least 1, got -1"),
        ({"address": ""}, r"--address must be auto, local or HOST:PORT \(.*\) .*, got ''"),
        ({"address": "localhost:99999"}, "a port from 1 to 65535, got 'localhost:99999'"),
        ({"address": "localhost"}, "a port from 1 to 65535, got 'localhost'"),
        ({"address": "auto", "backend": "serial"}, "--address needs Ray; leave it out, or"),
        ({"backend": "serial", "concurrent": 2}, "--backend serial runs one trial at a time"),
        (
            {"evaluate": False, "changes": {"evaluation_seeds": 3}},
            "--no-evaluation contradicts --evaluation-seeds 3; leave one of them out",
        ),
        (
            {"detector": "a:B", "baselines": Names(["PGN", "AE"])},
            "--detector a:B takes the place of all baselines, so --baselines PGN,AE has no effect",
        ),
        (
            {"ablate": "one", "evaluate": False},
            "--ablate tests every trial, so --no-evaluation has no effect; leave it out",
        ),
        (
            {"changes": {"epochs": 3}, "settings": {"epochs": "4"}},
            "--epochs 3 contradicts --set epochs=4; leave one of them out",
        ),
        ({"gpus": float("inf")}, "--gpus-per-trial must be at most 1000000, got inf"),
    ],
    ids=str,
)
def test_illegal_values_are_refused_however_they_are_given(wrong, message):
    with pytest.raises(UserError, match=message):
        Options("x", **wrong)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--serach x", "error: unknown option --serach; did you mean --search?"),
        ("--search x --ephocs=4", "error: unknown option --ephocs; did you mean --epochs?"),
        ("--search x --SEED 4", "error: unknown option --SEED; did you mean --seed?"),
        ("--search x --qqq", "error: unknown option --qqq; --help shows every option"),
        ("quickstart", "error: unexpected argument 'quickstart'; --search NAME runs a search"),
        (
            "--trials 3",
            "error: no command; use one of --list, --search, --report, --serve, --compare, "
            "--score and --export",
        ),
        ("--search x --trials few", "error: --trials must be an integer, got 'few'"),
        ("--search x --time-budget soon", "error: --time-budget must be a number, got 'soon'"),
        *(
            (
                f"--search x --gpus-per-trial={number}",
                f"error: --gpus-per-trial must be 0 or more, or auto, got '{number}'",
            )
            for number in ("inf", "nan", "-1")
        ),
        (
            "--search x --time-budget=--",
            "error: --time-budget=--: -- is no value and ends no options; leave it out",
        ),
        (
            f"--search x --trials {'9a' * 900}",
            "error: " + cut(f"--trials must be an integer, got '{'9a' * 900}'"),
        ),
        ("--search x --set width", "error: --set must be name=value, got 'width'"),
        ("--search x --set =3", "error: --set must be name=value, got '=3'"),
        ("--search x --report y", "error: --report: not allowed with --search"),
        ("--report y --seed 0", "error: --seed cannot be used with --report; leave it out"),
        ("--search x --results ''", "error: --results must not be empty, got ''"),
        ("--search x --data-root ' '", "error: --data-root must not be empty, got ' '"),
        (
            "--search x --classes ''",
            "error: --classes must be names with a comma between them, got ''",
        ),
        ("--compare a b a", "error: --compare names 'a' twice; name each study once"),
        ("--report a a", "error: --report names 'a' twice; name each study once"),
    ],
)
def test_typing_errors_are_answered_in_one_line(line, message, capsys):
    assert refused(line, capsys) == message


def test_a_parameter_is_fixed_once():
    with pytest.raises(UserError, match=r"--set gives width twice \(1.0 and 2.0\); give it once"):
        read("--search x --set width=1.0 --set width=2.0")


def test_a_value_is_checked_even_if_it_is_the_default():
    with pytest.raises(UserError, match="--extend must be at least 1, got 0"):
        read("--search x --extend 0")


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("run.py", "python run.py"),
        ("/opt/somewhere/run.py", "python run.py"),
        ("/env/lib/tune_ad/__main__.py", "python -m tune_ad"),
        ("/env/bin/tune-ad", "tune-ad"),
        ("/env/lib/pytest/__main__.py", "tune-ad"),
    ],
)
def test_help_and_messages_use_the_name_that_was_called(called, name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [called])
    assert parser.program() == name
    with pytest.raises(SystemExit):
        parser.parse(["--help"])
    out = capsys.readouterr().out
    assert out.startswith(f"usage: {name} COMMAND [options]\n")
    assert f"{name} --search quickstart\n" in out


def commands_of_help():
    """The example commands of --help."""
    examples = parser.EXAMPLES.format(prog="run").partition("exit codes")[0]
    lines = examples.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("run ")]


def commands_of_readme():
    """The commands of the README's list."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = readme.partition("## Commands\n```bash\n")[2].partition("```")[0]
    return [line.removeprefix("python ").partition("#")[0] for line in block.splitlines()]


@pytest.mark.parametrize("commands", [commands_of_help, commands_of_readme])
def test_the_example_commands_work_in_their_order(commands):
    lines = commands()
    assert len(lines) >= 10
    begun = set()
    for line in lines:
        arguments = parser.parse(shlex.split(line)[1:])
        if "search" in arguments:
            chosen = parser.options(arguments)
            folder = chosen.results / chosen.study
            if "dry_run" not in arguments:
                assert (folder in begun) == bool(chosen.resume or chosen.extend), line
                begun.add(folder)
        for name in [*getattr(arguments, "report", []), *getattr(arguments, "compare", [])]:
            assert (Path(name) if "/" in name else Path("results") / name) in begun, line


def test_the_parser_takes_no_default_of_its_own():
    assert parser.parse(["--search", "x"]) == argparse.Namespace(search="x")


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("PGN_MNIST", ["pgn_mnist"]),
        ("pgn", ["pgn_mnist", "pgn_fmnist", "pgn_cifar"]),
        ("cifar", ["pgn_cifar", "ablate_pgn_cifar"]),
        ("pgn_minst", ["pgn_mnist", "pgn_fmnist"]),
        ("pm", ["pgn_mnist"]),
        ("nothing like it", []),
        ("", []),
    ],
)
def test_the_nearest_names(typed, names):
    searches = ["ablate_pgn_mnist", "pgn_mnist", "pgn_fmnist", "pgn_cifar", "ablate_pgn_cifar"]
    assert nearest(typed, searches) == names

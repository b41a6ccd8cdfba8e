"""Every option with every kind of bad value: one short line, exit code 2, nothing raised."""

import pytest

from tune_ad.app.command_line import cli
from tune_ad.app.command_line.cli import main
from tune_ad.app.command_line.options import OPTIONS
from tune_ad.app.command_line.parser import (
    COMMANDS,
    LONGEST_ARGUMENT,
    SCORING,
    SERVING,
    options,
    parse,
)
from tune_ad.errors import MachineError, UserError
from tune_ad.wording import printable

HUGE = "1" + "0" * 400
NO_VALUES = ("", "  ")
UNSAFE = ("\x1b[31mred", "a\nb", "a\rb", "\u202eabc", "\x07", "\x00", "x" * 100_000, "--")
NO_NUMBERS = (HUGE, "1e400", "-1e400", "nan", "-5", "--5", "++5", "+-3", "0x10", "-", "=", "null")
VALUED = {name: option for name, option in OPTIONS.items() if not option.switch}
NUMBERS = {name for name, option in VALUED.items() if option.minimum is not None}
CHOICES = {name for name, option in VALUED.items() if option.choices}
LONGEST_LINE = 1200


def refusals(capsys, flag, value):
    """The lines that refuse a value, given after a blank and after an equals sign."""
    for form in ([flag, value], [f"{flag}={value}"]):
        try:
            options(parse(["--search", "quickstart", *form]))
        except SystemExit as ended:
            assert ended.code == UserError.exit_code
            text = capsys.readouterr().err
            assert text.startswith("error: ") and text.endswith("\n")
            yield text.removesuffix("\n")
        except UserError as error:
            yield str(error)
        else:
            pytest.fail(f"{form[0]} {value[:20]!r} is accepted")


def check(capsys, flag, value):
    for line in refusals(capsys, flag, value):
        assert printable(line) == line, "it is one line, and no character of it acts"
        assert len(line) < LONGEST_LINE


@pytest.mark.parametrize("name", VALUED)
def test_empty_unsafe_and_endless_values_are_refused(capsys, name):
    for value in (*NO_VALUES, *UNSAFE):
        check(capsys, VALUED[name].flag, value)


@pytest.mark.parametrize("name", sorted(NUMBERS | CHOICES))
def test_what_is_no_number_or_choice_is_refused(capsys, name):
    for value in NO_NUMBERS:
        check(capsys, VALUED[name].flag, value)


@pytest.mark.parametrize("name", sorted(NUMBERS - {"gpus"}))
def test_numbers_have_a_maximum(name):
    assert OPTIONS[name].maximum is not None or name == "extend"


@pytest.mark.parametrize(
    "name", [*(name for name in COMMANDS if name != "list"), *SCORING, *SERVING]
)
def test_commands_refuse_unsafe_texts(capsys, name):
    for value in (*UNSAFE, "x" * (LONGEST_ARGUMENT + 1)):
        with pytest.raises(SystemExit) as ended:
            parse([f"--{name}", value])
        assert ended.value.code == UserError.exit_code
        line = capsys.readouterr().err
        assert line.count("\n") == 1 and printable(line[:-1]) == line[:-1]


@pytest.mark.parametrize(
    "command",
    [
        ["--search", ""],
        ["--report", ""],
        ["--compare", "", "other"],
        ["--score", "", "--input", "a", "--output", "b"],
        ["--score", "a", "--input", "", "--output", "b"],
        ["--score", "a", "--input", "b", "--output", ""],
        ["--export", "", "--output", "b.onnx"],
        ["--serve", ""],
    ],
)
def test_empty_names_are_refused(capsys, command):
    try:
        code = main(command)
    except SystemExit as ended:
        code = ended.code
    assert code == UserError.exit_code
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(errors) == 1


def test_a_name_that_is_too_long_for_the_disk_is_invalid_input(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--search", "quickstart", "--data-root", "x" * 3000, "--dry-run"])
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert "must be a path that can exist" in line and len(line) < LONGEST_LINE


def test_bytes_of_a_name_that_are_no_text_may_be_given():
    assert parse(["--report", "caf\udce9/study"]).report == ["caf\udce9/study"]


def test_no_character_of_a_printed_line_acts(capsys, monkeypatch):
    def refuse(*_):
        raise UserError("a\x1b[31mb\nc")

    monkeypatch.setattr("tune_ad.app.command_line.cli.report", refuse)
    assert main(["--report", "name"]) == UserError.exit_code
    assert capsys.readouterr().err == "error: a\\x1b[31mb\\nc\n"
    cli._say("one\ntwo\x9b\u202e")
    assert capsys.readouterr().out == "one\ntwo\\x9b\\u202e\n"


def test_what_the_disk_refuses_is_one_line(capsys, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "results/a")

    monkeypatch.setattr("tune_ad.app.command_line.cli.report", refuse)
    assert main(["--report", "name"]) == MachineError.exit_code
    assert "results/a cannot be read or written (Permission denied)" in capsys.readouterr().err

"""Every option of the command line, read from where it is declared."""

from collections.abc import Mapping
from typing import Any

from docs.site.markdown import code, table
from tune_ad.app.command_line.option import BUDGET, Option
from tune_ad.app.command_line.options import DATA, MACHINE, OPTIONS, SEARCH, defaults
from tune_ad.app.command_line.parser import COMMANDS, SCORING, SERVING

GROUPS = {SEARCH: "The search", DATA: "The data", BUDGET: "The budget", MACHINE: "The machine"}


def commands() -> str:
    """The commands, of which each call has one."""
    return _plain({**COMMANDS, "dry_run": DRY_RUN})


DRY_RUN = {"help": "with --search: show what would be trained and how long it would take"}


def of_kept_models() -> str:
    """The options of --score and --export alone."""
    return _plain(SCORING)


def of_serving() -> str:
    """The options of --serve alone."""
    return _plain(SERVING)


def keywords() -> str:
    """The options of --search whose keyword in Python is not their name with "_" for "-"."""
    others = {n: o for n, o in OPTIONS.items() if o.flag != f"--{n.replace('_', '-')}"}
    rows = [[code(_typed(o)), code(keyword(name, o))] for name, o in others.items()]
    return table(["option", "keyword in Python"], rows)


def keyword(name: str, option: Option) -> str:
    """An option as a keyword of `tune_ad.run`."""
    if option.repeated:
        return f"{name}={{'NAME': VALUE}}"
    return f"{name}={option.flag_value if option.switch else option.metavar or 'VALUE'}"


def _plain(declared: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, settings in declared.items():
        many = " ..." if settings.get("nargs") == "+" else ""
        typed = f"--{name.replace('_', '-')} {settings.get('metavar', '')}{many}".strip()
        rows.append([code(typed), settings["help"]])
    return table(["option", "what it does"], rows)


def of_searches() -> str:
    """The options of --search, by their groups in --help."""
    parts = []
    for group, title in GROUPS.items():
        members = {name: o for name, o in OPTIONS.items() if o.group == group}
        rows = [
            [code(_typed(o)), legal(o), _default(name, o), o.help] for name, o in members.items()
        ]
        parts.append(f"## {title}\n\n{table(['option', 'values', 'default', 'help'], rows)}")
    return "\n\n".join(parts)


def _typed(option: Option) -> str:
    """The option as it is typed."""
    if option.switch:
        return option.flag
    value = option.metavar or "VALUE"
    return (
        f"{option.flag} [{value}]" if option.flag_value is not None else f"{option.flag} {value}"
    )


def legal(option: Option) -> str:
    """The legal values of an option; empty if any text is legal."""
    if option.choices:
        return ", ".join(map(code, option.choices))
    least, most = option.minimum, option.maximum
    unit = f" {option.unit}" if option.unit else ""
    if least is None:
        return ""
    if most is None:
        return f"{'above' if option.excludes_minimum else 'at least'} {least:,g}{unit}"
    if option.excludes_minimum:
        return f"above {least:,g}, up to {most:,.12g}{unit}"
    return f"{least:,.12g} to {most:,.12g}{unit}"


def _default(name: str, option: Option) -> str:
    """The default; empty if it follows from the search, the budget or the machine."""
    value = defaults().get(name)
    if option.switch or value is None or value == 0:
        return ""
    return code(value)

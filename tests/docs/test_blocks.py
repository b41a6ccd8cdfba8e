"""Every block of code of the documentation runs, or says in one of a few ways why it does not."""

import re
import shlex
import warnings

import matplotlib.pyplot as plt
import pytest

import tune_ad
from tests.docs import running
from tests.docs.blocks import COMMAND, PROJECT, REASONS, RUN, SHOWN, blocks, pages
from tune_ad.search import catalogue

PAGES = {page.relative_to(PROJECT).as_posix(): blocks(page) for page in pages()}
BLOCKS = [block for of_page in PAGES.values() for block in of_page]
OPENING = re.compile(r"^\s*(<!-- not run.*|```+.*)$", re.MULTILINE)
ELSEWHERE = {
    "docs/analysis.md": "tests/analysis/test_programs.py",
    "docs/python.md": "tests/app/test_python_page.py",
    "CONTRIBUTING.md": "tests/detectors/test_examples.py",
}
"""Pages whose blocks another test runs."""


def test_every_fence_of_a_page_is_read():
    for name, of_page in PAGES.items():
        text = (PROJECT / name).read_text(encoding="utf-8")
        fences = [line for line in OPENING.findall(text) if line.strip().startswith("```")]
        directives = sum(fence.startswith("```{") for fence in fences)
        assert len(fences) == 2 * (len(of_page) + directives), name
        marks = [line for line in OPENING.findall(text) if line.strip().startswith("<!--")]
        assert len(marks) == sum(block.mark is not None for block in of_page), name


def test_every_block_has_a_language_and_what_is_only_shown_is_no_command():
    odd = [str(block) for block in BLOCKS if block.language not in (*RUN, *SHOWN)]
    assert odd == []
    shown = [block for block in BLOCKS if block.language in SHOWN]
    assert [str(block) for block in shown if COMMAND.search(block.text)] == []
    assert [str(block) for block in shown if block.mark] == []


def test_a_block_that_is_not_run_says_why_in_a_known_way():
    marked = [block for block in BLOCKS if block.mark is not None]
    assert {block.mark for block in marked} <= set(REASONS)
    runs = [block for block in BLOCKS if block.language in RUN and block.mark is None]
    assert len(runs) > 2 * len(marked)


@pytest.mark.parametrize("name", PAGES)
def test_every_call_of_the_program_has_legal_options(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    running.write_files(PAGES[name])
    for block in PAGES[name]:
        if block.language == "bash":
            for command in running.commands(block):
                words = running.words_of(command)
                if words is not None:
                    check_call(words)


def check_call(words):
    arguments = running.parsed(words)
    search = getattr(arguments, "search", None)
    if search and catalogue.file_and_name(search) is None:
        assert catalogue.find_entry(catalogue.member(search))


def test_every_option_in_a_text_exists():
    flags = set(running.parser.FLAGS.values())
    for name in PAGES:
        text = (PROJECT / name).read_text(encoding="utf-8")
        for code in re.findall(r"`(--[^`]+)`", text):
            flag = shlex.split(code.replace("'", ""))[0].partition("=")[0].rstrip(",")
            assert flag in flags | OF_OTHERS, f"{name}: {code}"


OF_OTHERS = {"--num-cpus", "--num-gpus", "--maxprocesses"}
"""Options of other programs that texts name."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PAGES if name not in ELSEWHERE])
def test_the_blocks_of_a_page_run_in_their_order(name, tmp_path, monkeypatch, capsys):
    runs = [b for b in PAGES[name] if b.language in RUN and b.mark is None]
    if not runs:
        pytest.skip("nothing to run")
    running.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNE_AD_DATA", raising=False)
    monkeypatch.setattr(tune_ad, "run", running.cheap_run)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "too few images for a false-alarm rate")
        running.run(runs)
    plt.close("all")

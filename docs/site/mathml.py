"""Formulas as MathML, which browsers draw by themselves: no script and no font is loaded."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

REPLACED = {"\\lVert": r"\|", "\\rVert": r"\|", "\\arg": r"\operatorname{arg}"}
"""Commands that latex2mathml does not know."""
COMMAND = re.compile(r"\\[a-zA-Z]+")
THIN = '<mspace width="0.167em"/>'
FUNCTION = re.compile(
    r"(?P<before></(?:mi|mn|msub|msup|msubsup|mrow)>)?<mi>(?P<name>log|ln|exp|max|min)</mi>"
    r"(?P<after><m(?:i|n|sub|sup|frac|row|over)\b)?"
)


def mathml(latex: str, display: str) -> str:
    """A formula as an element `math`.

    Args:
        latex: the formula.
        display: "inline" or "block".

    Raises:
        ValueError: if a command of the formula is not known.
    """
    for command, known in REPLACED.items():
        latex = latex.replace(command, known)
    converted = convert(latex, display=display)
    if left := COMMAND.findall(converted):
        raise ValueError(f"the formula {latex} has {left[0]}, which cannot be drawn as MathML")
    return FUNCTION.sub(_spaced, converted)


def _spaced(found: re.Match[str]) -> str:
    """The name of a function with a thin space on each side where no bracket stands."""
    before = f"{found['before']}{THIN}" if found["before"] else ""
    after = f"{THIN}{found['after']}" if found["after"] else ""
    return f"{before}<mi>{found['name']}</mi>{after}"


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Formulas as MathML, which browsers draw by themselves: no script and no font is loaded."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

SPACED = {"\\lVert": "\\|", "\\rVert": "\\|"}


def mathml(latex: str, display: str) -> str:
    """A formula as an element `math`.

    Args:
        latex: the formula.
        display: "inline" or "block".
    """
    for command, plain in SPACED.items():
        latex = latex.replace(command, plain)
    return convert(latex, display=display)


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

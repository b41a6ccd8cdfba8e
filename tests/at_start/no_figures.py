"""Leaves figures of reports undrawn where `TUNE_AD_TEST_FIGURES` is "composed".

They are composed, which finds what a study lacks, but not written as SVG and PDF. That is most of
the work of a report, and many tests make one by the way. Nothing is imported before it is needed.
"""

import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.util import find_spec

WRITER = "analysis.report.render.export"
FIGURES = "TUNE_AD_TEST_FIGURES"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt"/>'


def is_undrawn():
    return os.environ.get(FIGURES) == "composed"


def rendering(render):
    """The function that renders a figure, unless only composing is wished."""

    def render_figure(figure):
        if not is_undrawn():
            return render(figure)
        import matplotlib.style

        from analysis.document import theme
        from analysis.report.render.figures import RenderedFigure

        with matplotlib.style.context(["default", theme.STYLE]):
            figure.draw()
        return RenderedFigure(figure.name, figure.caption, SVG, b"%PDF")

    return render_figure


class Patching(Loader):
    """Loads the writer of reports, and wraps its function that renders figures."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        module.render_figure = rendering(module.render_figure)

    def __getattr__(self, name):
        return getattr(self.loader, name)


class Finder(MetaPathFinder):
    """Finds the writer of reports."""

    def find_spec(self, name, path, target=None):
        if name != WRITER:
            return None
        sys.meta_path.remove(self)  # the others find it
        spec = find_spec(name)
        spec.loader = Patching(spec.loader)
        return spec


if not any(type(finder).__name__ == Finder.__name__ for finder in sys.meta_path):
    sys.meta_path.insert(0, Finder())

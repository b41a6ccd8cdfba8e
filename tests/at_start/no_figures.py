"""Leaves figures of reports undrawn where `TUNE_AD_TEST_FIGURES` is "composed".

They are composed, which finds what a study lacks, but not written as SVG and PDF. That is most of
the work of a report, and many tests make one by the way. Nothing is imported before it is needed.
"""

import os
import sys
from importlib.machinery import PathFinder, SourceFileLoader

MODULE = "analysis.report.render.figures"
INSTEAD = {
    "_svg": '<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt"/>',
    "_pdf": b"%PDF",
}
"""What stands in place of a figure, by the function that writes it."""


def unless_composed(write, instead):
    """A function that writes a figure, unless figures are only composed."""

    def written(drawing):
        return instead if os.environ.get("TUNE_AD_TEST_FIGURES") == "composed" else write(drawing)

    return written


class Undrawn(SourceFileLoader):
    """Loads the module that writes figures, with other functions."""

    def exec_module(self, module):
        super().exec_module(module)
        for name, instead in INSTEAD.items():
            setattr(module, name, unless_composed(getattr(module, name), instead))


class Finder:
    """Finds the module that writes figures."""

    @staticmethod
    def find_spec(name, path, target=None):
        if name != MODULE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        spec.loader = Undrawn(name, spec.origin)
        return spec


sys.meta_path.insert(0, Finder)

"""The directive `from-code`: a part of a page that is made from the code at build time."""

from collections.abc import Callable, Mapping

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from docs.site import detectors, options, records, searches

PARTS: Mapping[str, Callable[[], str]] = {
    "overview of searches": searches.overview,
    "searches": searches.details,
    "commands": options.commands,
    "options of kept models": options.of_kept_models,
    "options of served reports": options.of_serving,
    "keywords": options.keywords,
    "options": options.of_searches,
    "detectors": detectors.detectors,
    "hyperparameters": detectors.hyperparameters,
    "selection rules": detectors.selection_rules,
    "pseudo-outliers": detectors.pseudo_outliers,
    "verdict rules": detectors.verdict_rules,
    "files of a study": records.files,
    "study.json": records.study,
    "study.json since schema 2": records.since_schema_2,
    "suggested.jsonl": records.suggested,
    "trials.jsonl": records.trials,
    "histograms": records.details,
    "model.json": records.kept,
    "ranks of scores": records.ranks,
    "examples.npz": records.of_examples,
}


class FromCode(SphinxDirective):
    """A part of `PARTS`, by its name."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """The nodes of the part."""
        name = self.arguments[0]
        if name not in PARTS:
            raise self.error(f"there is no part {name!r}; there are {', '.join(PARTS)}")
        return self.parse_text_to_nodes(PARTS[name](), allow_section_headings=True)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("from-code", FromCode)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

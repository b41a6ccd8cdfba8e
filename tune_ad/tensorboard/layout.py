"""The charts of the Custom Scalars tab: what belongs together in one of them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2, metadata
from tensorboard.util.tensor_util import make_tensor_proto


class Band(NamedTuple):
    """A curve between two others; the names are tags."""

    value: str
    lower: str
    upper: str


class Rest(NamedTuple):
    """All curves whose tags begin with a text, but for those that go on with certain others."""

    start: str
    without: tuple[str, ...] = ()


Chart = Sequence[str | Rest] | Band
"""The lines of a chart: tags, or what several have in common."""


def layout(categories: Mapping[str, Mapping[str, Chart]]) -> Any:  # noqa: ANN401
    """The layout as a value of a summary, for the root folder of a study.

    Args:
        categories: the charts of each category, by their titles.
    """
    content = layout_pb2.Layout(
        category=[
            layout_pb2.Category(title=title, chart=[_chart(*chart) for chart in charts.items()])
            for title, charts in categories.items()
        ]
    )
    return Summary.Value(
        tag=metadata.CONFIG_SUMMARY_TAG,
        tensor=make_tensor_proto(content.SerializeToString()),
        metadata=metadata.create_summary_metadata(),
    )


def _chart(title: str, lines: Chart) -> Any:  # noqa: ANN401
    if isinstance(lines, Band):
        series = layout_pb2.MarginChartContent.Series(**lines._asdict())
        content = layout_pb2.MarginChartContent(series=[series])
        return layout_pb2.Chart(title=title, margin=content)
    tags = [_pattern(line) for line in lines]
    return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags))


def _pattern(line: str | Rest) -> str:
    """A regular expression for the tags of a line, in the syntax that Python and JavaScript share.

    >>> _pattern("train/loss"), _pattern(Rest("steps/")), _pattern(Rest("train/", ("loss", "kl")))
    ('^train/loss$', '^steps/', '^train/(?!loss|kl)')
    """
    if isinstance(line, str):
        return f"^{re.escape(line)}$"
    others = f"(?!{'|'.join(map(re.escape, line.without))})" if line.without else ""
    return f"^{re.escape(line.start)}{others}"

"""What a reader sees when pointing at the marks of a figure."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from analysis.document import theme
from analysis.document.blocks import Figure
from analysis.report.render.figures import inline, render_figure
from analysis.report.render.marks import APART, MOST, RADIUS, SVG
from analysis.report.study_report import document
from analysis.study import StudyRecords

SIZE = r"font(?:-size)?: ([\d.]+)px"


def rendered(draw):
    return render_figure(Figure("f", draw))


def titles(figure):
    return [e.text for e in ET.fromstring(figure.svg).iter(f"{SVG}title")]


def drawn(x, texts, trials=(), **style):
    def draw():
        canvas = theme.canvas()
        theme.points(canvas.one, x, x, texts, trials, **style)
        return canvas.figure

    return draw


@pytest.mark.parametrize("style", [{}, {"c": [0.0, 0.5, 1.0], "color": None}, {"s": [9, 16, 25]}])
def test_each_point_has_its_text_and_its_trial(style):
    figure = rendered(drawn([1.0, 2.0, 3.0], ["a", "b", "c"], [7, 8, 9], **style))
    assert titles(figure) == ["a", "b", "c"]
    assert re.findall(r'data-trial="(\d+)"', figure.svg) == ["7", "8", "9"]
    page = inline(figure)
    assert page.count("<title>") == 3 and page.count("data-trial") == 3
    assert ET.fromstring(page) is not None


def test_a_text_of_a_user_is_a_text():
    figure = rendered(drawn([1.0], ["<script>&\x1b\n</title>"]))
    assert titles(figure) == ["<script>&\\x1b </title>"]
    assert "<script" not in figure.svg and "<script" not in inline(figure)


def test_one_text_may_be_for_a_whole_line():
    def draw():
        canvas = theme.canvas()
        (line,) = canvas.one.plot([0, 1, 2], [1, 2, 0])
        theme.describe(line, ["a line"], [3])
        return canvas.figure

    figure = rendered(draw)
    assert titles(figure) == ["a line"] and figure.svg.count("data-trial") == 1


def test_another_number_of_texts_than_of_marks_is_an_error():
    with pytest.raises(ValueError, match="3 marks, 2 texts"):
        rendered(drawn([1.0, 2.0, 3.0], ["a", "b"]))


def test_no_point_is_no_mark():
    assert titles(rendered(drawn([], []))) == []


def test_what_has_no_text_says_its_values():
    def draw():
        canvas = theme.canvas(columns=2)
        line, bars = canvas.axes
        line.plot([1, 2], [0.5, np.nan], "o-", label="validation")
        line.plot([1, 2], [3.0, 4.0])
        line.axhline(2)
        line.set_xlabel("epoch")
        line.set_ylabel("AUROC (%)")
        bars.bar([0, 1], [5, 6])
        line.stairs([2.5, 3.5], [1.0, 1.2, 1.4], label="normal")
        bars.set_xticks([0, 1], ["low", "high"])
        return canvas.figure

    assert titles(rendered(draw)) == [
        "validation: epoch 1, AUROC (%) 0.5",
        "epoch 1, AUROC (%) 3",
        "epoch 2, AUROC (%) 4",
        "normal: epoch 1.1, AUROC (%) 2.5",
        "normal: epoch 1.3, AUROC (%) 3.5",
        "low, 5",
        "high, 6",
    ]


def test_the_panel_of_a_value_is_named_if_there_are_several():
    def draw():
        canvas = theme.canvas(3, 1, 2)
        for axes, title in zip(canvas.axes, ("cat", "dog"), strict=True):
            axes.plot([1, 2], [3, 4], label="normal")
            axes.set_title(title)
        return canvas.figure

    texts = titles(rendered(draw))
    assert texts == [f"{title}, normal: {x}, {x + 2}" for title in ("cat", "dog") for x in (1, 2)]


def positions(figure):
    """Where the marks that have texts are, in points."""
    uses = [use for use in ET.fromstring(figure.svg).iter(f"{SVG}use") if len(use)]
    return np.array([[float(use.get("x")), float(use.get("y"))] for use in uses])


def test_of_many_points_of_a_line_those_say_their_values_that_lie_apart():
    def draw():
        canvas = theme.canvas()
        canvas.one.plot(range(3001), range(3001))
        return canvas.figure

    figure = rendered(draw)
    said = titles(figure)
    assert said[0] == "0, 0" and said[-1] == "3000, 3000"
    gaps = np.hypot(*np.diff(positions(figure), axis=0).T)
    assert len(gaps) == len(said) - 1 and gaps[:-1].min() >= APART - 0.2
    assert gaps.max() <= 2 * RADIUS, "the whole line answers"


def test_of_a_line_that_is_long_on_the_page_evenly_spaced_points_say_their_values():
    def draw():
        canvas = theme.canvas()
        canvas.one.plot(range(3 * MOST + 1), [k % 2 for k in range(3 * MOST + 1)])
        return canvas.figure

    said = titles(rendered(draw))
    assert 0.9 * MOST < len(said) <= MOST
    assert said[0] == "0, 0" and said[-1] == f"{3 * MOST}, 0"


def test_every_point_of_a_cloud_says_its_values():
    def draw():
        canvas = theme.canvas()
        canvas.one.scatter([0, 1, 1.0001, 2], [0, 1, 1.0001, 2])
        return canvas.figure

    assert len(titles(rendered(draw))) == 4


def test_the_two_ends_of_a_short_line_say_their_values():
    def draw():
        canvas = theme.canvas()
        canvas.one.plot([0, 1, 2], [0, 1, 2])
        canvas.one.set(xlim=(-1000, 1000), ylim=(-1000, 1000))
        return canvas.figure

    assert titles(rendered(draw)) == ["0, 0", "2, 2"]


@pytest.mark.slow
def test_every_drawing_of_a_report_says_its_values(finished):
    report = document(StudyRecords.read(finished.folder.path))
    figures = [*map(render_figure, report.figures())]
    assert {"roc_PGN", "precision-recall_PGN", "missed_PGN"} <= {f.name for f in figures}
    sizes = [float(size) for f in figures for size in re.findall(SIZE, f.svg)]
    assert min(sizes) >= theme.LEAST_SIZE, "a page relies on it where it is narrow"
    silent = {figure.name for figure in figures if not titles(figure)}
    assert {name for name in silent if not name.startswith(("examples_", "codes"))} == set()


def test_points_that_are_not_seen_are_in_the_page_alone():
    calls = []

    def draw():
        canvas = theme.canvas()
        canvas.one.plot([1, 2], [3.0, 4.0])
        calls.append(canvas.figure)
        return canvas.figure

    assert rendered(draw) == rendered(draw), "the same bytes each time"
    (added,) = calls[0].axes[0].collections
    assert added.get_alpha() == 0 and not added.get_in_layout()


def test_a_thousand_points_state_their_style_once():
    x = np.arange(1000.0)
    figure = rendered(drawn(x, [f"trial {k}" for k in range(1000)], [*range(1000)]))
    assert len(titles(figure)) == 1000
    assert len(figure.svg) / 1000 < 160


def test_a_figure_of_another_kind_is_rendered_as_it_is():
    from matplotlib.figure import Figure as Plain

    assert titles(rendered(lambda: Plain())) == []

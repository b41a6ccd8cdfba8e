import math

import numpy as np
import pandas as pd
import pytest

from analysis.stats.ranking import draw_critical_difference, friedman


def planted(tasks=10, steps=(0.2, 0.1, 0.0), noise=0.001):
    rng = np.random.default_rng(0)
    values = 0.6 + np.array(steps) + noise * rng.standard_normal((tasks, len(steps)))
    return pd.DataFrame(values, columns=list("abcdefgh")[: len(steps)])


def test_a_clear_order_by_hand():
    found = friedman(planted(tasks=6))
    assert dict(found.mean_ranks) == {"a": 1, "b": 2, "c": 3}
    assert found.chi2 == pytest.approx(12 / (6 * 3 * 4) * (6**2 + 12**2 + 18**2) - 3 * 6 * 4)
    assert found.p == pytest.approx(math.exp(-6))
    assert found.pairs.loc["a", "b"] == pytest.approx(3 / 32)
    assert found.smallest == pytest.approx(3 / 32)


def test_planted_ranks_are_told_apart_where_tasks_suffice():
    found = friedman(planted(tasks=10))
    assert list(found.mean_ranks.index) == ["a", "b", "c"]
    assert (found.pairs.to_numpy()[~np.eye(3, dtype=bool)] < 0.01).all()
    assert found.smallest == pytest.approx(3 / 512)


def test_a_planted_null_is_no_difference():
    found = friedman(planted(steps=(0, 0, 0, 0), noise=0.01))
    assert found.p > 0.05
    assert found.mean_ranks.mean() == pytest.approx(2.5)
    assert (found.pairs.to_numpy() > 0.05).all()


def test_ties_share_a_rank_and_rounding_is_no_rank():
    table = pd.DataFrame({"a": [0.3] * 6, "b": [0.1 + 0.2] * 6, "c": [0.1] * 6})
    assert dict(friedman(table).mean_ranks) == {"a": 1.5, "b": 1.5, "c": 3}
    same = friedman(table.assign(c=0.3))
    assert (same.chi2, same.p) == (0, 1)
    assert (same.pairs == 1).all(axis=None)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (planted(tasks=5), "n = 5 tasks"),
        (planted(steps=(0, 1)), "2 methods"),
        (pd.DataFrame(), "0 methods"),
    ],
)
def test_too_little_is_refused_in_a_sentence(table, said):
    found = friedman(table)
    assert said in found.refusal
    assert math.isnan(found.p)
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_critical_difference(found)


def test_nan_is_no_rank():
    table = planted()
    table.iloc[0, 0] = math.nan
    with pytest.raises(ValueError, match="finite"):
        friedman(table)


@pytest.mark.parametrize(
    "steps", [(0.2, 0.1, 0.0), (0, 0, 0), tuple(np.linspace(0, 0.1, 8))], ids=len
)
def test_the_diagram_names_every_method(steps):
    table = planted(steps=steps).rename(columns={"a": "$a_{0", "b": "long name " * 8})
    figure = draw_critical_difference(friedman(table))
    figure.canvas.draw()
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == len(steps)
    assert sum("$a_{0" in text for text in texts) == 1
    assert max(map(len, texts)) < 40


def test_a_bar_joins_what_is_not_told_apart():
    def bars(table):
        lines = draw_critical_difference(friedman(table)).axes[0].lines
        return sum(line.get_linewidth() == 3 for line in lines)

    assert bars(planted(tasks=10)) == 0
    assert bars(planted(tasks=6)) == 1

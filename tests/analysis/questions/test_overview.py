from dataclasses import replace

import pytest

from analysis.questions.comparison.overview import overview
from analysis.quoted import results
from analysis.report.findings import Findings
from analysis.report.sections import at_a_glance
from tests.analysis import planted


def study(path, means, **changes):
    trials = [
        replace(
            planted.record(k, {"width": 1.0}, [mean, mean + 0.02], baseline=name),
            **changes.get(name, {}),
        )
        for k, (name, mean) in enumerate(means.items())
    ]
    defaults = {name: {"width": 1.0} for name in means}
    return planted.study(path, trials, defaults=defaults, plan={"name": "Listed"})


def test_the_best_result_comes_first_with_what_it_costs(tmp_path):
    means = {"low": 0.6, "high": 0.8, "unknown": 0.5}
    changes = {
        "high": {"seconds": 240.0, "models": {"parameters": 52232}},
        "low": {"models": {"parameters": 0}},
    }
    table = overview(results(study(tmp_path, means, **changes)))
    first, second, third = table.shown.map(lambda cell: cell.text).to_dict("records")
    assert (first["result"], second["result"], third["result"]) == ("high", "low", "unknown")
    assert first["test AUROC"].startswith("81.0 ± 1.4")
    assert (first["weights"], second["weights"], third["weights"]) == ("52,232", "none", "")
    assert first["time"] == "1.0 min"  # 240 s for four models
    assert first["n"] == "2"
    assert "FPR95" not in first, "no ranks are stored"
    assert "FPR95" not in f"{table.caption} {table.details}"
    stored = table.stored.iloc[0]
    assert (stored["seconds"], stored["weights"], stored["n"]) == (60.0, 52232, 2)
    assert stored["test AUROC"] == pytest.approx(0.81)
    assert stored["test AUROC low"] < 0.81 < stored["test AUROC high"]


@pytest.mark.parametrize(("means", "shown"), [({"a": 0.6}, False), ({"a": 0.6, "b": 0.7}, True)])
def test_several_results_stand_in_a_table_at_a_glance(tmp_path, means, shown):
    blocks = at_a_glance.section(Findings(study(tmp_path, means))).blocks
    assert ("overview" in {getattr(block, "name", "") for block in blocks}) == shown

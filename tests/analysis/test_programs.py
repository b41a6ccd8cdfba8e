"""Studies as data frames and figures; the code of docs/analysis.md runs as it stands."""

import re
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

import analysis
from analysis.programs import StudyFrames
from analysis.quoted import results
from tests.analysis.planted_sensitivity import additive, sampled
from tune_ad.errors import UserError
from tune_ad.selection import mean
from tune_ad.storage.metric import TEST_AUROC

PAGE = Path(analysis.__file__).parents[1] / "docs" / "analysis.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture(scope="module")
def study(finished):
    return analysis.read(finished.folder.path)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_frames_are_those_of_the_records(study, finished):
    records = finished.folder.read_trials()
    assert list(study.trials["number"]) == [record.number for record in records]
    assert list(study.trials["objective"]) == [record.objective for record in records]
    assert list(study.trials["test_auroc"]) == [mean(r.metrics[TEST_AUROC]) for r in records]
    assert {"params.latent_dim", "validation_auroc", "pseudo_outliers"} <= set(study.trials)
    assert not {"oracle", "validation"} & set(study.trials)
    assert len(study.replicas) == sum(len(record.replicas) for record in records)
    assert sorted(study.fresh["seed"].unique()) == list(finished.session.study.fresh_seeds)


def test_results_are_what_may_be_quoted(study):
    (quoted,), (row,) = results(study.records), study.results().to_dict("records")
    assert (row["auroc"], row["low"], row["high"], row["n"]) == (
        quoted.auroc.mean,
        quoted.auroc.low,
        quoted.auroc.high,
        2,
    )
    assert row["label"] == "PGN"
    assert row["rule"] == "validation AUROC (held-out training images)"
    assert {"params.latent_dim", "params.dropout"} <= row.keys()


def test_selection_has_every_rule_and_its_regret(study):
    chosen = study.selection().set_index("rule")
    assert {"oracle", "validation", "pseudo_outliers", "random"} <= set(chosen.index)
    assert (chosen["regret"].dropna() >= 0).all()
    best = study.trials.sort_values("objective").iloc[-1]["number"]
    assert chosen.loc["validation", "number"] == best


def test_too_few_trials_have_no_sensitivities_and_a_reason(study):
    assert study.sensitivities().empty
    assert "10" in study.refusals()["PGN"]


@pytest.mark.slow  # forests of 256 trees
def test_sensitivities_have_a_verdict_on_each_parameter():
    planted = StudyFrames(sampled(additive, n=30))
    table = planted.sensitivities()
    assert list(table["baseline"]) == ["PGN"] * 4
    assert table["parameter"].iloc[0] == "strong" and table["verdict"].iloc[0] == "above noise"
    assert (table["fANOVA value"].diff().dropna() <= 0).all()
    assert planted.refusals() == {}


def test_tables_and_figures_are_those_of_the_report(study):
    assert {"replicas", "evaluation"} <= study.tables().keys()
    assert study.figures().keys() == study.captions().keys()
    name = next(iter(study.figures()))
    assert isinstance(study.figure(name), Figure)
    with pytest.raises(UserError, match="has no figure 'nonsense'; its figures: "):
        study.figure("nonsense")


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(UserError, match="contains no study"):
        analysis.read(tmp_path)


@pytest.mark.slow
def test_every_block_of_the_page_runs_in_order(finished, tmp_path, monkeypatch, capsys):
    shutil.copytree(finished.folder.path, tmp_path / "results" / "quickstart")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), names)  # the page is ours
    assert "<study tiny: 4 trials>" in capsys.readouterr().out
    assert (tmp_path / f"{names['name']}.png").stat().st_size > 0

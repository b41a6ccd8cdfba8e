"""The effective number of importance weights, from planted records."""

import math

import pytest

from analysis.questions.claims.evidence import evidence
from analysis.questions.importance_weights import importance_weights, varied_codes
from analysis.report.findings import Findings
from analysis.report.sections.importance_weights import section
from analysis.study import StudyRecords
from tests.analysis.planted import record
from tests.naming import named
from tune_ad.search.claim import Claim
from tune_ad.storage.folder import StudyFolder


def trial(number, raw, codes=16, used=None, tempering=1.0, likelihood="bernoulli"):
    """A trial of two models with these effective shares in the last epoch."""
    params = {"likelihood": likelihood, "latent_dim": 4, "samples": codes, "tempering": tempering}
    ours = record(number, params, (0.4, 0.6), tasks=("fashion_mnist-vs-mnist",))
    ours.metrics.update(
        named(
            {
                "train_raw_effective_share": raw,
                "train_effective_share": raw if used is None else used,
                "train_forward_kl": [1.0, 2.0],
            }
        )
    )
    return ours


def study(tmp_path, trials):
    stored = {"study": {"name": "planted", "baselines": {"PGN": {}}}, "tasks": []}
    return StudyRecords(StudyFolder(tmp_path), stored, trials, [])


def test_the_effective_number_is_k_times_the_share(tmp_path):
    (row,) = importance_weights([trial(0, [0.25, 0.5])])
    assert (row.effective.mean, row.effective.n) == (6.0, 2)
    assert row.effective.low == 1.0, "clipped: there is always one weight"
    assert (row.divergence.mean, row.codes, row.spread, row.models) == (1.5, 16, 2, 2)
    assert row.alive


def test_flattened_weights_do_not_count_as_spread(tmp_path):
    """With a power near 0 all weights are equal, and training follows nothing."""
    (row,) = importance_weights([trial(0, [0.07, 0.07], used=[0.9, 0.9], tempering=0.1)])
    assert row.used.mean == pytest.approx(14.4)
    assert not row.alive


def test_with_two_codes_half_way_is_enough():
    assert importance_weights([trial(0, [0.8, 0.8], codes=2)])[0].alive
    assert not importance_weights([trial(0, [0.7, 0.7], codes=2)])[0].alive


def test_the_section_shows_all_of_them_and_a_curve_if_k_varies(tmp_path):
    trials = [trial(k, [0.3, 0.4], codes=codes) for k, codes in enumerate((4, 16, 64))]
    trials.append(trial(3, [0.02, 0.02], codes=64, likelihood="discretised_logistic"))
    assert varied_codes(importance_weights(trials))
    text, figure, table = section(Findings(study(tmp_path, trials))).blocks
    assert text.text.startswith("2 of 4 configurations with importance weights have enough")
    assert table.stored["codes"].tolist() == [4, 16, 64, 64]
    assert table.shown["spread"].tolist() == ["0 of 2", "2 of 2", "2 of 2", "0 of 2"]
    figure.draw().canvas.draw()


def test_one_k_needs_no_curve_and_no_weights_no_section(tmp_path):
    assert not varied_codes(importance_weights([trial(0, [0.3, 0.4])]))
    blocks = section(Findings(study(tmp_path, [trial(0, [0.3, 0.4])]))).blocks
    assert len(blocks) == 2
    untreated = record(0, {"likelihood": "bernoulli"}, (0.5, 0.6))
    assert section(Findings(study(tmp_path, [untreated]))) is None


def test_a_claim_about_flattened_weights_was_not_realised(tmp_path):
    claim = Claim(
        "forward_kl",
        factor="objective",
        baseline_level="elbo",
        levels={"elbo": {"tempering": 1.0}, "forward_kl": {"tempering": 0.1}},
    )
    flattened = [trial(0, [0.3, 0.3]), trial(1, [0.07, 0.07], used=[0.9, 0.9], tempering=0.1)]
    ours = study(tmp_path, flattened)
    ours.stored["tasks"] = [{"name": "fashion_mnist-vs-mnist", "source": "fashion_mnist"}]
    (main, *_) = evidence(ours, claim)
    table = main.table.set_index("factor")
    assert table.loc["forward_kl", "effective"].tolist() == pytest.approx([1.12, 1.12])
    assert table.loc["forward_kl", "spread"].tolist() == [0.0, 0.0]
    assert table.loc["elbo", "spread"].tolist() == [1.0, 1.0]
    assert not math.isnan(table["codes"].iloc[0])

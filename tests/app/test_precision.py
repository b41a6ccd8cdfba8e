"""The precision of a study: chosen when it begins, stored, kept, recorded and reported."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from analysis.questions.comparison.settings import caveats, setting_differences
from analysis.report.findings import Findings
from analysis.report.sections import provenance, result
from analysis.study import StudyRecords
from tune_ad.app.command_line.console import opening, plan
from tune_ad.app.estimates.speed import measured_speed
from tune_ad.app.preparation import request
from tune_ad.data import load
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.shallow.kde import KDE
from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline
from tune_ad.search.plans import Listed
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import TEST_AUROC, Metric
from tune_ad.storage.records import TrialRecord
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.replicas.stack import Stack

LOSS = Metric("train", "loss")
BFLOAT16_LINE = "precision: bfloat16 for AE; scored in float32"


@pytest.fixture(scope="module")
def colour_root(tmp_path_factory):
    """A data root with the digits, whose three channels differ in brightness."""
    digits, root = load("digits"), tmp_path_factory.mktemp("images")
    arrays = {}
    for part in ("train", "test"):
        grey = getattr(digits, f"{part}_images").numpy()[:, 0, :, :, None]
        arrays[f"{part}_images"] = (grey * np.array([1.0, 0.8, 0.5])).astype(np.uint8)
        arrays[f"{part}_labels"] = getattr(digits, f"{part}_labels").numpy()
    np.savez(root / "coloured.npz", **arrays)
    return str(root)


@pytest.fixture(scope="module")
def coloured(tiny):
    """Autoencoders on images in colour, trained until they detect anomalies well."""
    baseline = Baseline(
        AE,
        space={"latent_dim": CategoricalDistribution([16, 32, 48, 64, 128])},
        settings={"batch_size": 30, "learning_rate": 1e-3, "width": 0.5},
    )
    budgets = {name: replace(budget, epochs=20) for name, budget in tiny.budgets.items()}
    return replace(tiny, data=("coloured",), baselines=(baseline,), budgets=budgets)


@pytest.fixture(scope="module")
def begin(open_study, colour_root):
    """A function: a session of a search on images in colour."""

    def prepared(search, results, **options):
        return open_study(search, results, data_root=colour_root, **options)

    return prepared


@pytest.fixture(scope="module")
def trained(begin, coloured, tmp_path_factory):
    """The study in each precision, by precision."""
    sessions = {}
    for precision in ("float32", "bfloat16"):
        results = tmp_path_factory.mktemp(precision)
        sessions[precision] = begin(coloured, results, precision=precision)
        assert sessions[precision].run().exit_code == 0
    return sessions


def records(session):
    return session.folder.read_trials(), session.folder.read_evaluation()


@pytest.mark.slow
def test_a_model_trained_in_bfloat16_is_another_but_as_good(trained):
    both = [records(trained[precision])[0] for precision in ("bfloat16", "float32")]
    for rounded, exact in zip(*both, strict=True):
        assert rounded.params == exact.params
        assert rounded.metrics[LOSS] != exact.metrics[LOSS]
        assert rounded.metrics[LOSS] == pytest.approx(exact.metrics[LOSS], rel=0.05)
    aurocs = [np.mean([record.metrics[TEST_AUROC] for record in of_one]) for of_one in both]
    assert aurocs[0] == pytest.approx(aurocs[1], abs=0.05)
    assert aurocs[1] > 0.8, "chance would be close, too"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.slow
def test_every_record_has_the_precision_also_of_the_winner(trained, precision):
    trials, evaluation = records(trained[precision])
    assert len(trials) == 4
    assert len(evaluation) == 2
    assert {record.precision for record in (*trials, *evaluation)} == {precision}
    line = json.loads(trained[precision].folder.trials.path.read_text().splitlines()[0])
    assert line["precision"] == precision
    del line["precision"]
    assert TrialRecord.from_json(line).precision == "float32"


@pytest.mark.slow
def test_the_study_stores_it(trained):
    for precision, session in trained.items():
        assert session.folder.read_study()["study"]["precision"] == {"AE": precision}


@pytest.mark.slow
def test_it_is_kept_when_the_study_goes_on(begin, coloured, trained, monkeypatch):
    """Also on a machine for which another one would be chosen."""
    monkeypatch.setattr(request, "bfloat16_is_faster", lambda device: False)
    for precision, session in trained.items():
        results = session.folder.path.parent
        for options in ({"resume": True}, {"extend": 1}, {"precision": precision}):
            continued = begin(coloured, results, budget="auto", **options)
            assert continued.study.precision == {"AE": precision}


@pytest.mark.parametrize("going_on", [{"resume": True}, {"extend": 1}, {}], ids=str)
@pytest.mark.slow
def test_another_one_is_refused(begin, coloured, trained, going_on):
    for precision, other in (("float32", "bfloat16"), ("bfloat16", "float32")):
        results = trained[precision].folder.path.parent
        with pytest.raises(UserError) as refusal:
            begin(coloured, results, budget="auto", precision=other, **going_on)
        assert str(refusal.value) == (
            f"{results / coloured.name} was begun with --precision {precision}, not with "
            f"--precision {other}; leave the option out, or use another --results"
        )


def without_precision(folder: Path) -> StudyFolder:
    """A copy of a study as earlier versions wrote it."""
    described = json.loads((folder / "study.json").read_text())
    del described["study"]["precision"]
    (folder / "study.json").write_text(json.dumps(described))
    trials = folder / "trials.jsonl"
    lines = [json.loads(line) for line in trials.read_text().splitlines()]
    for line in lines:
        del line["precision"]
    trials.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return StudyFolder(folder)


@pytest.mark.slow
def test_a_study_of_an_earlier_version_goes_on_in_float32(begin, coloured, trained, tmp_path):
    shutil.copytree(trained["float32"].folder.path, tmp_path / coloured.name)
    folder = without_precision(tmp_path / coloured.name)
    with pytest.raises(UserError, match="begun with --precision float32, not with --precision b"):
        begin(coloured, tmp_path, budget="auto", resume=True, precision="bfloat16")
    session = begin(coloured, tmp_path, budget="auto", extend=1, evaluate=False)
    assert session.run().exit_code == 0
    assert {record.precision for record in folder.read_trials()} == {"float32"}
    assert len(folder.read_trials()) == 5
    studies = [StudyRecords.read(path) for path in (folder.path, trained["float32"].folder.path)]
    assert "precision" not in setting_differences(studies, ["a", "b"])["setting"].tolist()


@pytest.mark.slow
def test_a_comparison_and_a_report_name_the_precision(trained, tmp_path):
    studies = [StudyRecords.read(session.folder.path) for session in trained.values()]
    differences = setting_differences(studies, list(trained))
    assert [*caveats(differences, ())] == [
        "The models were trained in different precisions; the table of settings has them."
    ]
    for study, precision in zip(studies, trained, strict=True):
        section = result.section(Findings(study))
        text = section.blocks[0].text
        assert text.count("trained in bfloat16.") == (precision == "bfloat16")


class Unproven(AE):
    """A detector of which nothing has been shown."""

    equivalent_in_bfloat16 = False


class Equivalent(PGN):
    """A detector for which training in bfloat16 has been shown to be equivalent."""

    equivalent_in_bfloat16 = True


@pytest.fixture
def mixed(coloured):
    """A search with a detector of each kind."""
    baselines = [
        Baseline(kind, settings=settings)
        for kind, settings in (
            (Equivalent, {"latent_dim": 8}),
            (Unproven, {"latent_dim": 16}),
            (KDE, {}),
        )
    ]
    return replace(coloured, baselines=tuple(baselines), plan=Listed([{}]))


@pytest.mark.parametrize("has_instructions", [True, False])
@pytest.mark.slow
def test_each_baseline_has_the_one_that_suits_it(
    begin, mixed, tmp_path, monkeypatch, has_instructions
):
    asked = []
    monkeypatch.setattr(
        request, "bfloat16_is_faster", lambda device: asked.append(device) or has_instructions
    )
    expected = "bfloat16" if has_instructions else "float32"
    session = begin(mixed, tmp_path, changes={"evaluation_seeds": 0})
    assert session.study.precision == {"Equivalent": expected, "Unproven": "float32"}
    assert session.study.precision_of("KDE") == "float32"
    assert set(asked) == {"cpu"}
    for wanted in ("float32", "bfloat16"):
        chosen = begin(mixed, tmp_path, precision=wanted).study.precision
        assert chosen == dict.fromkeys(("Equivalent", "Unproven"), wanted)
    session.run()
    stored = {record.baseline: record.precision for record in session.folder.read_trials()}
    assert stored == {"Equivalent": expected, "Unproven": "float32", "KDE": "float32"}
    if has_instructions:
        with pytest.raises(UserError, match="with bfloat16 for Equivalent, float32 for Unproven"):
            begin(mixed, tmp_path, budget="auto", resume=True, precision="bfloat16")


def test_images_in_grey_are_trained_on_in_float32(open_study, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(request, "bfloat16_is_faster", lambda device: True)
    grey = replace(tiny, baselines=(replace(tiny.baselines[0], detector=Equivalent, name="E"),))
    assert open_study(grey, tmp_path).study.precision == {"E": "float32"}


def test_it_is_refused_where_nothing_is_trained(open_study, tiny, tmp_path):
    search = replace(tiny, baselines=(Baseline(KDE),), plan=Listed([{}]))
    with pytest.raises(UserError) as refusal:
        open_study(search, tmp_path, precision="bfloat16")
    assert str(refusal.value) == (
        "KDE trains no networks, so --precision bfloat16 has no effect; leave it out"
    )
    assert open_study(search, tmp_path, precision="float32").study.precision == {}


@pytest.mark.slow
def test_what_a_user_reads_names_it_if_not_all_is_float32(begin, coloured, trained, tmp_path):
    for precision in ("float32", "bfloat16"):
        session = begin(coloured, tmp_path, precision=precision)
        for text in (opening(session), plan(session)):
            assert (BFLOAT16_LINE in text.splitlines()) == (precision == "bfloat16")
            assert ("precision" in text) == (precision == "bfloat16")
    words = {"float32": "float32", "bfloat16": BFLOAT16_LINE.removeprefix("precision: ")}
    for precision, session in trained.items():
        (table,) = provenance.section(Findings(StudyRecords.read(session.folder.path))).blocks
        assert table.stored.set_index("what")["value"]["precision"] == words[precision]


@pytest.mark.slow
def test_the_estimate_trains_as_a_trial_does(
    begin, open_study, tiny, coloured, tmp_path, monkeypatch
):
    sizes, precisions = [], []
    update, build = Stack.update, ReplicaSet.__init__

    def built(replica_set, *arguments, **named):
        precisions.append(named["precision"])
        build(replica_set, *arguments, **named)

    def updated(stack, stage, indices, *arguments):
        sizes.append(len(indices))
        return update(stack, stage, indices, *arguments)

    monkeypatch.setattr(Stack, "update", updated)
    monkeypatch.setattr(ReplicaSet, "__init__", built)
    grey = open_study(tiny, tmp_path).study
    colour = begin(coloured, tmp_path, precision="bfloat16").study
    for study, models, expected in ((grey, 2, 2), (grey, 40, 6), (colour, 40, 6)):
        sizes.clear()
        precisions.clear()
        measured_speed(study, "cpu", models)
        assert set(sizes) == {expected}
        assert set(precisions) == {"bfloat16" if study is colour else "float32"}

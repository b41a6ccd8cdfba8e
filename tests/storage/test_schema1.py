"""Studies of schema 1 are converted when they are read."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.naming import named, short, short_variants
from tune_ad.atomic import write_atomically
from tune_ad.errors import UserError
from tune_ad.storage.earlier.schema1 import (
    PLANS,
    metric_named,
    upgraded_details,
    upgraded_study,
    upgraded_trial,
    variant_named,
)
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.metric import (
    BITS_PER_DIM,
    RESUBSTITUTION,
    Metric,
    ScoreVariant,
    metrics_from_json,
)
from tune_ad.storage.records import SCHEMA, DetectorWarning, ReplicaRecord, TrialRecord

GOLDEN = Path(__file__).parent.parent / "analysis" / "golden"
STUDIES = ("quickstart", "quickstart-ablation")


# ------------------------------------------------------------------------------ the names


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("test_auroc", Metric("test", "auroc")),
        ("test_auroc/svhn", Metric("test", "auroc", "svhn")),
        ("test_ap/noise", Metric("test", "ap", "noise")),
        ("oracle_auroc/svhn", Metric("oracle", "auroc", "svhn")),
        ("validation_model_uncertainty", Metric("validation", "model_uncertainty")),
        ("validation_negative_iwae", Metric("validation", "negative_iwae")),
        (
            "validation_negative_iwae_bits_per_dim",
            Metric("validation", "negative_iwae", unit=BITS_PER_DIM),
        ),
        ("gap_negative_elbo_bits_per_dim", Metric("gap", "negative_elbo", unit=BITS_PER_DIM)),
        ("overall_effective_share", Metric("overall", "effective_share")),
        ("train_loss", Metric("train", "loss")),
        ("train_pretraining/loss", Metric("train", "loss", stage="pretraining")),
        ("train_warm start/rate", Metric("train", "rate", stage="warm start")),
        (
            "train_warm start/rate_bits_per_dim",
            Metric("train", "rate", unit=BITS_PER_DIM, stage="warm start"),
        ),
        ("train_train/loss", Metric("train", "loss", stage="train")),
        ("train_latent_discriminator/loss", Metric("train", "loss", phase="latent_discriminator")),
        ("train_first/encoder/loss", Metric("train", "loss", stage="first", phase="encoder")),
    ],
)
def test_a_name_of_schema_1_is_a_metric_of_the_same_name(name, metric):
    assert metric_named(name) == metric
    assert str(metric) == name


def test_training_images_scored_by_the_trained_model_have_another_part_than_training():
    metric = Metric(RESUBSTITUTION, "negative_elbo")
    assert metric_named("training_negative_elbo") == metric
    assert metric_named("training_negative_elbo_bits_per_dim") == metric._replace(
        unit=BITS_PER_DIM
    )


def test_early_stopping_has_a_part_of_its_own():
    assert metric_named("best_epoch") == Metric("early_stopping", "best_epoch")
    assert metric_named("plateau") == Metric("early_stopping", "stopped")


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("mc_samples=0", ScoreVariant("mc_samples", 0)),
        ("mc_samples=inf", ScoreVariant("mc_samples", "inf")),
        ("width=0.5", ScoreVariant("width", 0.5)),
        ("score_by=rate", ScoreVariant("score_by", "rate")),
        ("sign=-1", ScoreVariant("sign", -1)),
        ("bias=True", ScoreVariant("bias", True)),
        ("milestones=(0.5,)", ScoreVariant("milestones", (0.5,))),
        ("kl", ScoreVariant("", "kl")),
        ("model_uncertainty", ScoreVariant("", "model_uncertainty")),
    ],
)
def test_a_variant_of_schema_1_has_its_parameter_and_value(name, variant):
    read = variant_named(name)
    assert read == variant
    assert type(read.value) is type(variant.value)
    assert str(read) == name


# ---------------------------------------------------------------------- the golden studies


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(params=STUDIES)
def golden(request):
    return StudyFolder(GOLDEN / request.param)


@pytest.fixture
def recorded(golden):
    """Each line of the trials and of the evaluation, with the record that is read of it."""
    read = [*golden.read_trials(), *golden.read_evaluation()]
    raw = lines(golden.trials.path)
    raw += lines(golden.evaluation.path) if golden.evaluation.path.exists() else []
    return list(zip(raw, read, strict=True))


def test_the_golden_studies_are_of_schema_1(golden, recorded):
    assert json.loads(golden.study.read_text(encoding="utf-8"))["schema"] == 1
    assert {line["schema"] for line, _ in recorded} == {1}
    assert {record.schema for _, record in recorded} == {1}


def test_every_number_of_a_golden_record_has_the_name_that_it_had(recorded):
    for line, record in recorded:
        assert short(record.metrics) == line["metrics"]
        assert short_variants(record.variants) == line["variants"]


def test_everything_else_of_a_golden_record_is_what_it_was(recorded):
    same = ("number", "identity", "baseline", "detector", "searched", "state", "reason")
    same += ("objective", "models", "seconds", "device")
    for line, record in recorded:
        for name in same:
            assert getattr(record, name) == line[name], name
        params = {**line["params"], "last_batch": "filled"}  # as that version trained
        assert json.loads(json.dumps(record.params)) == params
        assert record.params["milestones"] == (0.75,), "a tuple, as the detector has it"
        assert record.replicas == [ReplicaRecord(**replica) for replica in line["replicas"]]
        assert record.reports == [tuple(report) for report in line["reports"]]


def test_of_a_golden_record_is_told_what_schema_1_left_to_the_reader(recorded):
    for _, record in recorded:
        assert record.main_score == ""
        assert record.scales == {"loss": "PGN"}
        assert record.warnings == []


def test_compact_golden_records_hold_the_same_numbers(golden):
    for plain, compact in zip(golden.read_trials(), golden.read_trials(compact=True), strict=True):
        assert short(compact.metrics).keys() == short(plain.metrics).keys()
        assert {m: list(values) for m, values in compact.metrics.items()} == plain.metrics


def test_a_golden_record_is_written_again_in_schema_2(recorded):
    for _, record in recorded:
        line = json.loads(to_text(record))
        assert line["schema"] == SCHEMA
        assert TrialRecord.from_json(line) == replace(record, schema=SCHEMA)


def test_the_trial_specs_of_a_golden_study_are_read(golden):
    specs = golden.read_trial_specs()
    assert [spec.to_json() for spec in specs] == lines(golden.suggested.path)


@pytest.mark.parametrize(
    ("name", "quotes", "chooses"),
    [("quickstart", "winner", True), ("quickstart-ablation", "defaults", False)],
)
def test_a_golden_study_says_what_it_quotes_and_whether_it_chooses(name, quotes, chooses):
    folder = StudyFolder(GOLDEN / name)
    raw, read = json.loads(folder.study.read_text(encoding="utf-8")), folder.read_study()
    study = read["study"]
    assert read["schema"] == SCHEMA
    assert (study["quotes"], study["chooses"], study["pruning"]) == (quotes, chooses, False)
    assert "early_stopping" not in study
    stored = {key: value for key, value in raw["study"].items() if key != "early_stopping"}
    stored["plan"]["traits"] = PLANS[stored["plan"]["name"]]._asdict()
    stored["budget"]["settings"] = {}
    for baseline in stored["baselines"].values():
        baseline["params"]["last_batch"] = "filled"  # as that version trained
    assert {key: study[key] for key in stored} == stored
    for key in raw.keys() - {"schema", "study", "tasks"}:
        assert read[key] == raw[key]
    for task, before in zip(read["tasks"], raw["tasks"], strict=True):
        assert task == {**before, "class_name": "", "title": before["name"]}


def test_the_details_of_a_golden_study_are_read():
    folder = StudyFolder(GOLDEN / "quickstart")
    for record in folder.read_evaluation():
        seed = record.replicas[0].seed
        path = folder.details(record.identity, seed)
        raw, read = json.loads(path.read_text()), folder.read_details(record.identity, seed)
        assert read["schema"] == 2
        curves = metrics_from_json(read["curves"]["replicas"])
        assert short(curves) == raw["curves"]["replicas"]
        for name in ("epoch", "learning_rate", "objective"):
            assert read["curves"][name] == raw["curves"][name]
        rows = {row["task"]: row for row in read["histograms"]}
        assert rows.keys() == raw["histograms"].keys()
        for task, row in rows.items():
            assert (row["component"], row["edges"]) == ("", raw["histograms"][task]["edges"])
            outsiders = {name or "rest": n for name, n in row["counts"]["outsiders"].items()}
            counts = {"normal": row["counts"]["normal"], **outsiders}
            assert {"edges": row["edges"], **counts} == raw["histograms"][task]


# ------------------------------------------------------------------- a record made by hand

EVERY_METRIC = {
    "test_auroc": [0.5, 0.75],
    "test_auroc/svhn": [0.5, 0.75],
    "test_auroc/noise": [1.0, None],
    "test_ap/svhn": [0.5, 0.625],
    "test_negative_elbo": [900.0, 901.5],
    "test_negative_elbo_bits_per_dim": [1.25, 1.5],
    "validation_negative_iwae_bits_per_dim": [1.0, 1.125],
    "validation_loss": [910.0, 911.0],
    "training_negative_elbo": [880.0, 881.0],
    "gap_negative_elbo": [20.0, 20.5],
    "gap_negative_elbo_bits_per_dim": [0.03125, 0.03125],
    "train_warm start/loss": [1000.0, 1001.0],
    "train_warm start/rate_bits_per_dim": [0.25, 0.25],
    "train_train/encoder/loss": [950.0, 951.0],
    "train_refining/decoder/loss": [940.0, 941.0],
    "train_effective_share": [0.24, 0.26],
    "overall_effective_share": [0.5, 0.5],
}
VARIANTS = {
    "negative_elbo": {"test_auroc": [0.25, 0.5], "test_auroc/svhn": [0.25, 0.5]},
    "negative_iwae": {
        "test_auroc": [0.5, 0.75],
        "test_auroc/svhn": [0.5, 0.75],
        "test_auroc/noise": [1.0, None],
    },
    "score_by=rate": {"test_auroc": [0.75, 0.75]},
    "importance_samples=64": {"test_auroc": [0.5, 0.5]},
}


def likelihood_line(**changes):
    """A record of a likelihood VAE as schema 1 wrote it."""
    return {
        "number": 3,
        "identity": "0123456789ab",
        "baseline": "LikelihoodVAE",
        "detector": "LikelihoodVAE",
        "params": {
            "likelihood": "gaussian",
            "samples": 8,
            "milestones": [0.5, 0.75],
            "beta": 1.0,
        },
        "searched": ["beta"],
        "state": "complete",
        "reason": "",
        "objective": -1.0625,
        "reports": [[2, None], [4, -1.0625]],
        "replicas": [
            {"task": "cifar10-vs-svhn+noise", "seed": seed, "state": "complete"}
            | {"reason": "", "epoch": 4}
            for seed in (0, 1)
        ],
        "metrics": EVERY_METRIC | {"best_epoch": [3.0, 4.0], "plateau": [1.0, 0.0]},
        "variants": VARIANTS,
        "labelled": {},
        "models": {"parameters": 7.0},
        "seconds": 1.5,
        "device": "cuda",
        "schema": 1,
        **changes,
    }


def read(**changes):
    return TrialRecord.from_json(json.loads(json.dumps(likelihood_line(**changes))))


def test_every_kind_of_metric_is_read_by_its_fields():
    record = read()
    kept = {name: n for name, n in EVERY_METRIC.items() if name != "training_negative_elbo"}
    assert short(record.metrics) == kept | {
        "resubstitution_negative_elbo": EVERY_METRIC["training_negative_elbo"],
        "early_stopping_best_epoch": [3.0, 4.0],
        "early_stopping_stopped": [1.0, 0.0],
    }
    assert record.metrics.keys() >= {
        Metric("test", "auroc", "noise"),
        Metric("test", "negative_elbo", unit=BITS_PER_DIM),
        Metric("gap", "negative_elbo", unit=BITS_PER_DIM),
        Metric("train", "loss", stage="warm start"),
        Metric("train", "rate", unit=BITS_PER_DIM, stage="warm start"),
        Metric("train", "loss", stage="train", phase="encoder"),
        Metric("train", "loss", stage="refining", phase="decoder"),
        Metric("early_stopping", "stopped"),
    }
    assert short_variants(record.variants) == VARIANTS
    assert ScoreVariant("importance_samples", 64) in record.variants
    assert record.params["milestones"] == (0.5, 0.75)
    assert record.reports == [(2, None), (4, -1.0625)]


def test_a_trial_that_failed_by_its_parameters_is_read():
    params = likelihood_line()["params"] | {"samples": "many"}
    record = read(params=params, state="failed", metrics={}, variants={})
    assert (record.params["samples"], record.warnings) == ("many", [])


def test_the_main_score_is_the_bound_that_ranks_as_the_score_does():
    assert read().main_score == "negative_iwae"
    assert read(variants={}).main_score == ""
    half = {**VARIANTS, "negative_iwae": {"test_auroc": [0.5, 0.75]}}
    assert read(variants=half).main_score == "", "against every set of outsiders"
    untested = {n: v for n, v in EVERY_METRIC.items() if not n.startswith("test")}
    assert read(metrics=untested).main_score == ""


def test_a_main_score_that_is_a_parameter_goes_before():
    params = likelihood_line()["params"] | {"score_by": "rate"}
    assert read(params=params).main_score == "rate"


def test_what_quantities_are_measured_in_follows_the_likelihood():
    assert read().scales == {
        "loss": "LikelihoodVAE, gaussian",
        "likelihood": "gaussian",
        "distortion": "gaussian",
    }
    vae = read(params={"reconstruction": "bce"}, baseline="VAE")
    assert vae.scales == {"loss": "VAE", "distortion": "bce"}
    assert read(params={}, baseline="AAE two").scales == {"loss": "AAE two"}


@pytest.mark.parametrize(
    ("train", "overall", "samples", "replicas"),
    [
        ([0.24, 0.26], [0.5, 0.5], 8, (0,)),
        ([0.26, 0.26], [0.5, 0.24], 8, (1,)),
        ([0.24, None], [0.5, 0.24], 8, (0, 1)),
        ([0.25, 0.25], [0.25, 0.25], 8, None),
        ([None, None], [None, None], 8, None),
        ([0.24, 0.26], None, 8, (0,)),
        (None, None, 8, None),
        ([0.5, 0.5], [0.5, 0.5], 2, None),
        ([0.5, 0.5], [0.5, 0.5], 3, (0, 1)),
    ],
)
def test_weights_on_nearly_one_code_are_warned_of(train, overall, samples, replicas):
    shares = {"train_effective_share": train, "overall_effective_share": overall}
    recorded_shares = {name: values for name, values in shares.items() if values is not None}
    record = read(metrics=recorded_shares, params={"samples": samples})
    if replicas is None:
        assert record.warnings == []
    else:
        (warned,) = record.warnings
        assert isinstance(warned, DetectorWarning)
        assert warned.replicas == replicas
        assert f"almost all importance weight is on one of {samples} samples" in warned.text


def test_a_record_of_a_trial_that_crashed_is_read():
    record = read(metrics={}, variants={}, state="failed", objective=None, reports=[])
    assert (record.metrics, record.variants, record.main_score) == ({}, {}, "")
    assert record.warnings == []


def test_a_record_without_what_it_must_have_is_refused_by_name():
    line = likelihood_line()
    del line["metrics"], line["baseline"]
    with pytest.raises(UserError, match="lacks baseline, metrics"):
        TrialRecord.from_json(line)


def test_a_record_without_later_additions_is_read_with_their_defaults():
    line = likelihood_line()
    for name in ("variants", "models", "seconds", "device"):
        del line[name]
    record = TrialRecord.from_json(line)
    assert (record.variants, record.models) == ({}, {})
    assert record.main_score == ""


def test_reading_changes_nothing_of_what_was_given():
    line = likelihood_line()
    before = json.dumps(line)
    upgraded_trial(line)
    TrialRecord.from_json(line)
    assert json.dumps(line) == before


# -------------------------------------------------------------------- a study made by hand


def study(**changes):
    """What schema 1 described, as far as it is derived from."""
    described = {
        "name": "s",
        "selection": "validation",
        "plan": {"name": "Optuna", "random_trials": None},
        "early_stopping": False,
        "budget": {"trials": 4, "evaluation_seeds": 3},
        "baselines": {"PGN": {}},
    }
    budget = {**described["budget"], **changes.pop("budget", {})}
    return upgraded_study(
        {"schema": 1, "study": {**described, **changes, "budget": budget}, "tasks": []}
    )["study"]


NO_SEEDS = {"evaluation_seeds": 0}


@pytest.mark.parametrize(
    ("changes", "quotes", "chooses"),
    [
        ({}, "winner", True),
        ({"plan": {"name": "Grid"}}, "winner", True),
        ({"budget": NO_SEEDS}, "single", True),
        ({"budget": NO_SEEDS, "plan": {"name": "Grid"}}, "defaults", False),
        ({"budget": NO_SEEDS, "plan": {"name": "Listed"}}, "configurations", False),
        ({"budget": NO_SEEDS | {"trials": 1}, "plan": {"name": "Listed"}}, "single", False),
        ({"budget": NO_SEEDS, "plan": None}, "single", True),
        ({"budget": NO_SEEDS, "selection": "oracle"}, "oracle", True),
        ({"budget": NO_SEEDS, "selection": "oracle", "plan": {"name": "Grid"}}, "oracle", True),
        ({"budget": NO_SEEDS, "claim": {"kind": "capacity"}}, "single", True),
        ({"claim": {"kind": "capacity"}}, "winner", True),
        (
            {"budget": NO_SEEDS, "claim": {"kind": "capacity"}, "plan": {"name": "Grid"}},
            "strata",
            False,
        ),
        ({"whole": True, "budget": NO_SEEDS, "plan": {"name": "Grid"}}, "nothing", False),
        ({"whole": True}, "nothing", True),
    ],
)
def test_what_a_study_quotes_and_chooses_follows_from_what_was_asked(changes, quotes, chooses):
    described = study(**changes)
    assert (described["quotes"], described["chooses"]) == (quotes, chooses)


@pytest.mark.parametrize("pruned", [True, False])
def test_trials_that_were_stopped_early_were_pruned(pruned):
    described = study(early_stopping=pruned)
    assert described["pruning"] is pruned
    assert "early_stopping" not in described


def test_what_the_first_studies_did_not_describe_has_its_default():
    described = upgraded_study(
        {
            "schema": 1,
            "study": {"selection": "validation", "budget": {"trials": 1, "evaluation_seeds": 0}},
            "tasks": [{"name": "digits/0"}],
        }
    )
    assert described["study"]["pruning"] is False
    assert described["study"]["whole"] is False
    assert (described["study"]["outsiders"], described["study"]["patience"]) == ([], 0)
    assert described["study"]["claim"] == {}
    assert described["study"]["budget"]["only"] == {}
    assert described["tasks"] == [{"name": "digits/0", "class_name": "", "title": "digits/0"}]


# ------------------------------------------------------------------- details made by hand


def test_a_histogram_names_its_task_part_and_counts():
    edges, old = [0.0, 1.0], {"normal": [3], "svhn": [2]}
    counts = {"normal": [3], "outsiders": {"svhn": [2]}}
    details = upgraded_details(
        {
            "curves": {"epoch": [1], "replicas": {"test_auroc/svhn": [[0.5]], "plateau": [[1.0]]}},
            "histograms": {
                "cifar10-vs-svhn": {"edges": edges, **old},
                "cifar10-vs-svhn, rate": {"edges": edges, **old},
            },
            "histograms_of": "test",
        }
    )
    assert details["histograms"] == [
        {
            "task": "cifar10-vs-svhn",
            "component": component,
            "outsider": "",
            "edges": edges,
            "counts": counts,
        }
        for component in ("", "rate")
    ]
    assert details["histograms_of"] == "test"
    assert metrics_from_json(details["curves"]["replicas"]) == {
        Metric("test", "auroc", "svhn"): [[0.5]],
        Metric("early_stopping", "stopped"): [[1.0]],
    }


def test_the_details_of_a_trial_that_crashed_are_empty(tmp_path):
    folder = StudyFolder(tmp_path)
    write_atomically(folder.details("0123456789ab"), "{}")
    details = folder.read_details("0123456789ab")
    assert details["histograms"] == []
    assert details["curves"]["replicas"] == []


# ----------------------------------------------------------------- both schemas in a file


def test_lines_of_both_schemas_are_read_in_one_file(tmp_path, record):
    folder = StudyFolder(tmp_path)
    ours = record(4, metrics=named({"test_auroc": [0.5, math.nan]}))
    folder.trials.append(likelihood_line())
    folder.trials.append(ours)
    old, new = folder.read_trials()
    assert (old.number, new.number) == (3, 4)
    assert Metric("test", "auroc") in old.metrics
    assert new.metrics == {Metric("test", "auroc"): [0.5, None]}
    assert [line.get("schema") for line in folder.trials.read()] == [1, 2]

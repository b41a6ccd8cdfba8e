"""What is written is read back through TensorBoard: its event reader and its HTTP API."""

import io
import subprocess
import sys

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from tests.tensorboard.served import Served
from tune_ad.tensorboard import (
    Choices,
    Interval,
    Panel,
    TrialBoard,
    Unknown,
    domains_of,
    merge_domains,
    write_study,
)

PGN = {
    "beta": FloatDistribution(0.01, 10, log=True),
    "latent_dim": IntDistribution(8, 128),
    "mc_samples": CategoricalDistribution((0, 5, 20, "inf")),
}
SVDD = {
    "nu": FloatDistribution(0.01, 0.5),
    "latent_dim": CategoricalDistribution((32, 256)),
    "soft_boundary": CategoricalDistribution((False, True)),
}
DOMAINS = merge_domains(
    [
        {"detector": Choices(("PGN", "SVDD"))},
        domains_of(PGN, {"detector": "PGN", "epochs": 50}),
        domains_of(SVDD, {"detector": "SVDD", "epochs": 50, "weight_decay": 5e-7}),
    ]
)
METRICS = [("validation/auroc", "AUROC (validation)"), ("train/loss", "loss")]
ROWS = {
    "000-PGN": {"detector": "PGN", "beta": 0.5, "latent_dim": 8, "mc_samples": 20, "epochs": 50},
    "001-PGN": {"detector": "PGN", "beta": 2, "latent_dim": 9, "mc_samples": "inf", "epochs": 50},
    "002-SVDD": {
        "detector": "SVDD",
        "nu": 0.1,
        "latent_dim": 32,
        "soft_boundary": True,
        "weight_decay": 5e-7,
        "epochs": 50,
    },
}
SHOWN = {
    "000-PGN": {"mc_samples": "20"},
    "001-PGN": {"mc_samples": "inf"},
    "002-SVDD": {},
}


def board(folder, name="000-PGN", **options):
    options = {"group": name} | options
    return TrialBoard(folder / name, ROWS[name], DOMAINS, **options)


def read(folder):
    return EventAccumulator(str(folder), {"tensors": 0, "scalars": 0, "images": 0}).Reload()


def points(events, tag):
    return [(event.step, event.value) for event in events.Scalars(tag)]


def pixels(events, tag):
    event = events.Images(tag)[-1]
    array = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
    assert array.shape[:2] == (event.height, event.width)
    return array


# --- the HPARAMS table ---


def test_a_table_spans_detectors_with_different_parameters(tmp_path):
    write_study(tmp_path, DOMAINS, METRICS)
    boards = [board(tmp_path, name) for name in ROWS]
    boards[0].scalars({"validation/auroc": 0.75, "train/loss": 2}, step=1)
    boards[0].scalars({"validation/auroc": 0.875, "train/loss": 1}, step=2)

    columns, metrics = Served(tmp_path).columns()
    assert [column["displayName"] for column in columns] == list(DOMAINS)[:6] + [
        "epochs",
        "weight_decay",
    ]
    domains = {c["displayName"]: c.get("domainInterval", c.get("domainDiscrete")) for c in columns}
    assert domains == {
        "detector": ["PGN", "SVDD"],
        "latent_dim": {"minValue": 8, "maxValue": 256},
        "beta": {"minValue": 0.01, "maxValue": 10},
        "mc_samples": ["0", "5", "20", "inf"],
        "nu": {"minValue": 0.01, "maxValue": 0.5},
        "soft_boundary": [False, True],
        "epochs": [50],
        "weight_decay": [5e-7],
    }
    types = {column["displayName"]: column["type"] for column in columns}
    assert "DATA_TYPE_UNSET" not in types.values()
    assert types["mc_samples"] == "DATA_TYPE_STRING"
    assert types["soft_boundary"] == "DATA_TYPE_BOOL"
    assert [column["differs"] for column in columns] == [True] * 6 + [False] * 2
    assert [(m["name"]["tag"], m["displayName"]) for m in metrics] == METRICS

    rows = Served(tmp_path).rows()
    assert {name: row["hparams"] for name, row in rows.items()} == {
        name: row | SHOWN[name] for name, row in ROWS.items()
    }
    values = {v["name"]["tag"]: v["value"] for v in rows["000-PGN"]["metricValues"]}
    assert values == {"validation/auroc": 0.875, "train/loss": 1}
    assert "metricValues" not in rows["002-SVDD"] or rows["002-SVDD"]["metricValues"] == []
    for one in boards:
        one.close()


def test_a_row_is_live_from_the_start_and_ends_as_success_or_failure(tmp_path):
    write_study(tmp_path, DOMAINS, METRICS)
    first, second, third = (board(tmp_path, name) for name in ROWS)
    assert set(Served(tmp_path).statuses().values()) == {"STATUS_UNKNOWN"}
    first.finish(succeeded=True)
    second.finish(succeeded=False)
    assert Served(tmp_path).statuses() == {
        "000-PGN": "STATUS_SUCCESS",
        "001-PGN": "STATUS_FAILURE",
        "002-SVDD": "STATUS_UNKNOWN",
    }
    third.close()


def test_runs_of_one_group_are_averaged(tmp_path):
    write_study(tmp_path, DOMAINS, METRICS)
    for name, auroc in (("seed0", 0.5), ("seed1", 0.75)):
        with TrialBoard(tmp_path / name, ROWS["000-PGN"], DOMAINS, group="pgn") as one:
            one.scalar("validation/auroc", auroc, 1)
    (row,) = Served(tmp_path).rows().values()
    assert len(row["sessions"]) == 2
    assert row["metricValues"][0]["value"] == 0.625


def test_a_study_is_written_once_and_replaced_when_it_changes(tmp_path):
    write_study(tmp_path, DOMAINS, METRICS)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    write_study(tmp_path, DOMAINS, METRICS)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    write_study(tmp_path, DOMAINS | {"dropout": Interval(0, 0.5)}, METRICS)
    assert len(list(tmp_path.iterdir())) == 1
    assert "dropout" in [column["displayName"] for column in Served(tmp_path).columns()[0]]


def test_a_column_without_limits_has_a_type(tmp_path):
    domains = {"note": Unknown("string"), "size": Unknown("number"), "fast": Unknown("bool")}
    write_study(tmp_path, domains, METRICS)
    TrialBoard(tmp_path / "run", {"note": 3, "size": 3, "fast": True}, domains, "run").close()
    served = Served(tmp_path)
    assert [column["type"] for column in served.columns()[0]] == [
        "DATA_TYPE_STRING",
        "DATA_TYPE_FLOAT64",
        "DATA_TYPE_BOOL",
    ]
    assert served.rows()["run"]["hparams"] == {"note": "3", "size": 3, "fast": True}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"beta": "inf"}, "parameter 'beta': expected a number, got 'inf'"),
        ({"beta": float("nan")}, "expected a number, got nan"),
        ({"soft_boundary": 1}, "expected a bool, got 1"),
        ({"gamma": 1}, "parameter 'gamma' has no domain"),
    ],
)
def test_a_parameter_that_does_not_fit_its_column_is_refused(tmp_path, parameters, message):
    with pytest.raises(ValueError, match=message):
        TrialBoard(tmp_path / "run", parameters, DOMAINS, "run")
    assert not (tmp_path / "run").exists()


# --- going on, and ending ---


def test_an_exception_is_a_failure_and_an_interruption_leaves_the_row_open(tmp_path):
    write_study(tmp_path, DOMAINS, METRICS)
    for name, error in zip(ROWS, (ZeroDivisionError, KeyboardInterrupt, None), strict=True):
        try:
            with board(tmp_path, name):
                if error:
                    raise error
        except (ZeroDivisionError, KeyboardInterrupt):
            pass
    assert list(Served(tmp_path).statuses().values()) == [
        "STATUS_FAILURE",
        "STATUS_UNKNOWN",
        "STATUS_SUCCESS",
    ]


def test_the_first_finish_decides_and_closing_twice_is_harmless(tmp_path):
    write_study(tmp_path, DOMAINS, METRICS)
    with board(tmp_path) as one:
        one.finish(succeeded=False)
        one.finish(succeeded=True)
        one.close()
        one.flush()
    assert Served(tmp_path).statuses() == {"000-PGN": "STATUS_FAILURE"}
    with pytest.raises(ValueError, match="closed"):
        one.scalar("train/loss", 1, 1)


def test_a_failed_trial_is_continued_in_the_same_folder(tmp_path):
    write_study(tmp_path, DOMAINS, METRICS)
    with board(tmp_path) as one:
        for step in (1, 2, 3, 4):
            one.scalar("train/loss", step, step)
        one.finish(succeeded=False)
    with board(tmp_path, resume_step=3) as one:
        assert Served(tmp_path).statuses() == {"000-PGN": "STATUS_UNKNOWN"}
        for step in (3, 4, 5):
            one.scalar("train/loss", 10 * step, step)
    assert Served(tmp_path).statuses() == {"000-PGN": "STATUS_SUCCESS"}
    loss = points(read(tmp_path / "000-PGN"), "train/loss")
    assert loss == [(1, 1), (2, 2), (3, 30), (4, 40), (5, 50)]


def test_a_killed_trial_leaves_what_it_wrote(tmp_path):
    one = board(tmp_path)
    one.scalar("train/loss", 0.5, 1)
    (file,) = (tmp_path / "000-PGN").iterdir()
    torn = tmp_path / "killed" / file.name
    torn.parent.mkdir()
    torn.write_bytes(file.read_bytes() + b"\x20\x00\x00")
    assert points(read(torn.parent), "train/loss") == [(1, 0.5)]
    one.close()


# --- curves, histograms, pictures, text ---


def test_points_can_be_read_at_once(tmp_path):
    with board(tmp_path) as one:
        one.scalar("train/loss", np.float32(0.25), np.int64(3))
        one.scalars({"train/loss": 0.125, "validation/auroc": True}, step=7)
        one.flush()
        events = read(tmp_path / "000-PGN")
        assert points(events, "train/loss") == [(3, 0.25), (7, 0.125)]
        assert points(events, "validation/auroc") == [(7, 1)]


def test_numbers_that_cannot_be_shown_are_counted_instead(tmp_path):
    with board(tmp_path) as one:
        one.scalars({"train/loss": float("nan"), "validation/auroc": 0.5}, step=1)
        one.scalars({"train/loss": float("inf"), "train/kl": 1e300}, step=2)
        normal, anomalous = np.array([1, 2, np.nan, -np.inf]), np.array([np.nan])
        one.scores("scores", [Panel("cat", {"normal": normal, "odd": anomalous})], step=3)
    events = read(tmp_path / "000-PGN")
    assert points(events, "health/non_finite") == [(1, 1), (2, 2), (2, 3), (3, 5), (3, 6)]
    texts = events.Tensors("health/non_finite_first")
    first = [make_ndarray(text.tensor_proto).item().decode() for text in texts]
    assert first[:2] == ["`train/loss` was nan at step 1", "`train/kl` was 1e+300 at step 2"]
    assert points(events, "validation/auroc") == [(1, 0.5)]
    assert first[2] == "`scores/cat/normal` was nan at step 3"
    tags = events.Tags()
    assert set(tags["scalars"]) == {"validation/auroc", "health/non_finite"}
    assert tags["images"] == ["scores"]


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 1)])
def test_an_image_keeps_its_pixels(tmp_path, shape):
    picture = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    with board(tmp_path) as one:
        one.image("upright", picture, step=1)
        one.image("turned", picture.swapaxes(0, 1), step=1)
    events = read(tmp_path / "000-PGN")
    assert np.array_equal(pixels(events, "upright"), picture)
    assert np.array_equal(pixels(events, "turned"), picture.swapaxes(0, 1))


def test_a_grid_shows_rows_of_pictures(tmp_path):
    rng = np.random.default_rng(2)
    grey = rng.integers(0, 256, (3, 4, 5)).astype(np.uint8)
    colour = rng.integers(0, 256, (3, 4, 5, 3)).astype(np.uint8)
    with board(tmp_path) as one:
        one.image_grid("reconstruction", [grey, colour], step=1)
        one.image_grid("grey", [grey], step=1)
    events = read(tmp_path / "000-PGN")
    picture = pixels(events, "reconstruction")
    assert picture.shape == (2 * 5 + 1, 3 * 6 + 1, 3)
    for n in range(3):
        columns = slice(1 + 6 * n, 6 + 6 * n)
        assert np.array_equal(picture[1:5, columns], np.repeat(grey[n, ..., None], 3, axis=2))
        assert np.array_equal(picture[6:10, columns], colour[n])
    assert (picture[[0, 5, 10]] == 128).all()
    assert (picture[:, [0, 6, 12, 18]] == 128).all()
    assert pixels(events, "grey").shape == (6, 19)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: b.image("x", np.zeros((4, 4)), 1), "uint8 of shape .h, w.*got float64"),
        (
            lambda b: b.image("x", np.zeros((4, 4, 4), np.uint8), 1),
            r"got uint8 of shape \(4, 4, 4\)",
        ),
        (lambda b: b.image_grid("x", [np.zeros((4, 4), np.uint8)], 1), r"shape \(n, h, w\)"),
        (
            lambda b: b.image_grid("x", [np.zeros((n, 4, 4), np.uint8) for n in (2, 3)], 1),
            r"same \(n, h, w\), but got \[\(2, 4, 4\), \(3, 4, 4\)\]",
        ),
        (lambda b: b.image_grid("x", [], 1), "same"),
    ],
)
def test_other_arrays_are_no_pictures(tmp_path, call, message):
    with board(tmp_path) as one, pytest.raises(ValueError, match=message):
        call(one)


def test_every_dashboard_of_tensorboard_has_what_was_written(tmp_path):
    with board(tmp_path) as one:
        one.scalar("train/loss", 0.5, 4)
        one.precision_recall("test/cat", [1, 2, 3], [2.5, 4], 4)
        one.image("reconstruction", np.zeros((3, 2), np.uint8), 4)
        one.text("failure", "**out of memory**", 4)
    served = Served(tmp_path)
    run = "000-PGN"
    assert list(served.ask("scalars", "tags")[run]) == ["train/loss"]
    assert served.ask("scalars", "scalars", run=run, tag="train/loss")[0][1:] == [4, 0.5]
    ((curve,),) = served.ask("pr_curves", "pr_curves", run=run, tag="test/cat").values()
    assert curve["step"] == 4
    assert curve["recall"][0] == 1 and curve["precision"][0] == pytest.approx(2 / 3)
    assert (curve["recall"][-1], curve["precision"][-1]) == (0.5, 1)
    (image,) = served.ask("images", "images", run=run, tag="reconstruction", sample=0)
    png = served.client.get("/data/plugin/images/individualImage?" + image["query"]).data
    assert image["step"] == 4
    assert Image.open(io.BytesIO(png)).size == (2, 3)
    (text,) = served.ask("text", "text", run=run, tag="failure")
    assert "<strong>out of memory</strong>" in text["text"]


# --- domains ---


def test_domains_come_from_distributions_and_constants():
    space = PGN | {"width": FloatDistribution(0.5, 2, step=0.5)}
    assert domains_of(space, {"width": 1.0, "channels": (32, 64)}) == {
        "beta": Interval(0.01, 10),
        "latent_dim": Interval(8, 128, is_int=True),
        "mc_samples": Choices((0, 5, 20, "inf")),
        "width": Interval(0.5, 2),
        "channels": Choices(((32, 64),)),
    }


@pytest.mark.parametrize(
    ("one", "two", "merged"),
    [
        (Choices((1, 2)), Choices((2.0, 3)), Choices((1, 2, 3))),
        (Choices((0, 1)), Choices((True,)), Choices((0, 1, True))),
        (Choices((0, 5)), Choices(("inf",)), Choices((0, 5, "inf"))),
        (Interval(1, 3, True), Interval(2, 9, True), Interval(1, 9, True)),
        (Interval(1, 3, True), Interval(0.5, 2), Interval(0.5, 3)),
        (Interval(1, 3, True), Choices((8, np.int64(0))), Interval(0, 8, True)),
        (Interval(1, 3, True), Choices((0.5,)), Interval(0.5, 3)),
        (Interval(1, 3), Choices(("auto",)), Unknown("string")),
        (Interval(1, 3), Choices((True,)), Unknown("string")),
        (Interval(1, 3), Unknown("number"), Unknown("number")),
        (Unknown("bool"), Choices((True,)), Unknown("bool")),
        (Unknown("bool"), Unknown("string"), Unknown("string")),
    ],
)
def test_domains_of_one_name_merge(one, two, merged):
    assert merge_domains([{"x": one}, {"x": two}]) == {"x": merged}
    assert merge_domains([{"x": two}, {"x": one}])["x"].kind == merged.kind


def test_mixed_values_are_the_same_text_in_the_domain_and_in_the_rows(tmp_path):
    domains = {"t": Choices((0, 5.0, 0.5, None, (1, 2), float("inf"), "inf", True))}
    assert domains["t"].cells == ["0", "5", "0.5", "None", "(1, 2)", "inf", "True"]
    write_study(tmp_path, domains, METRICS)
    for number, value in enumerate(domains["t"].values):
        TrialBoard(tmp_path / str(number), {"t": value}, domains, str(number)).close()
    cells = {row["hparams"]["t"] for row in Served(tmp_path).rows().values()}
    assert cells == set(domains["t"].cells)


def test_parameters_that_vary_come_first_and_among_them_the_shared_ones():
    assert list(DOMAINS) == [
        "detector",
        "latent_dim",
        "beta",
        "mc_samples",
        "nu",
        "soft_boundary",
        "epochs",
        "weight_decay",
    ]


def test_nothing_heavy_is_imported():
    heavy = "{'torch', 'ray', 'tensorflow', 'tensorboardX'}"
    code = f"import sys, tune_ad.tensorboard; print({heavy} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_a_clock_that_is_set_back_changes_no_order(tmp_path, monkeypatch):
    with board(tmp_path) as first:
        first.scalar("train/loss", 2.0, 1)
        monkeypatch.setattr("time.time", lambda: 1000.0)
        first.scalar("train/loss", 1.0, 2)
        first.close()
    monkeypatch.setattr("time.time_ns", lambda: 1000)
    with board(tmp_path, resume_step=3) as again:
        again.scalar("train/loss", 0.5, 3)
    reader = EventAccumulator(str(tmp_path / "000-PGN"))
    reader.Reload()
    points = reader.Scalars("train/loss")
    assert [point.step for point in points] == [1, 2, 3]
    assert points[0].wall_time <= points[1].wall_time

"""Pictures of scores, names of runs, precision and recall, and the layout of curves."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tests.tensorboard.served import Served
from tune_ad.tensorboard import Band, Panel, Rest, TrialBoard, run_name, write_layout
from tune_ad.tensorboard.curves import POINTS, precision_recall
from tune_ad.tensorboard.pictures import aligned, tiled
from tune_ad.tensorboard.projector import Embedding, sprites, write_embeddings
from tune_ad.tensorboard.run_names import LONGEST
from tune_ad.tensorboard.score_picture import COLOURS, HEIGHT, WIDTH, score_picture, shares

# --- precision and recall ---


def test_precision_and_recall_are_counted_at_even_steps_of_recall():
    rng = np.random.default_rng(0)
    normal, anomalous = rng.normal(size=400), rng.normal(1, size=300)
    found, wrong, passed, missed, precision, recall = precision_recall(normal, anomalous)
    assert (found + missed == 300).all() and (wrong + passed == 400).all()
    assert recall == pytest.approx(np.linspace(1, 0, POINTS), abs=1 / 300)
    assert recall[0] == 1 and recall[-1] == 1 / 300
    for k in (0, 13, 100):
        limit = np.sort(anomalous)[300 - int(found[k])]
        assert wrong[k] == (normal >= limit).sum()
    assert (precision == found / (found + wrong)).all()
    truth = np.r_[np.zeros(400), np.ones(300)]
    area = average_precision_score(truth, np.r_[normal, anomalous])
    assert precision[1:].mean() == pytest.approx(area, abs=0.01)


@pytest.mark.parametrize("scores", [[1.0], [1.0, 1.0, 1.0]])
def test_equal_scores_are_found_together(scores):
    found, wrong, *_, precision, recall = precision_recall([1.0, 0.0], scores)
    assert (found == len(scores)).all() and (wrong == 1).all() and (recall == 1).all()
    assert (precision == len(scores) / (len(scores) + 1)).all()


@pytest.mark.parametrize(("normal", "anomalous"), [([1.0], []), ([np.nan], [1.0])])
def test_without_anomalies_or_with_nan_there_is_no_curve(normal, anomalous):
    with pytest.raises(ValueError, match="need scores of anomalies"):
        precision_recall(normal, anomalous)


# --- pictures ---


@pytest.mark.parametrize(
    "scores",
    [
        np.linspace(0, 1, 100),
        np.zeros(50),
        np.array([7.5]),
        np.array([1.0, np.nextafter(1.0, 2)]),
        np.array([-3e38, 3e38]),
        np.full(40, -3e30),
        np.array([0, 5e-324]),
    ],
)
def test_the_shares_of_a_group_sum_to_one(scores):
    edges, of_groups = shares({"normal": scores, "odd": scores[:1], "none": scores[:0]})
    assert (np.diff(edges) > 0).all()
    assert [share.sum() for share in of_groups.values()] == pytest.approx([1, 1, 0])


def test_groups_have_their_own_colours_in_one_panel():
    rng = np.random.default_rng(0)
    groups = {"normal": rng.normal(size=200), "anomalous (svhn)": rng.normal(6, size=200)}
    picture = score_picture([Panel("cat", groups)])
    assert picture.shape == (HEIGHT, WIDTH, 3)
    left, right = picture[:, : WIDTH // 2], picture[:, WIDTH // 2 :]

    def pixels(part, colour):
        return (part[30:130] == colour).all(axis=-1).sum()

    assert pixels(left, COLOURS[0]) > pixels(right, COLOURS[0])
    assert pixels(right, COLOURS[1]) > pixels(left, COLOURS[1])


@pytest.mark.parametrize(("panels", "rows", "columns"), [(1, 1, 1), (4, 1, 4), (5, 2, 4)])
def test_panels_are_side_by_side(panels, rows, columns):
    picture = score_picture([Panel(str(k), {"normal": np.arange(3.0)}) for k in range(panels)])
    assert picture.shape == (rows * HEIGHT, columns * WIDTH, 3)


def test_rows_of_different_lengths_are_filled_with_grey():
    short, long = (np.zeros((n, 2, 2), np.uint8) for n in (1, 3))
    rows = aligned([short, long])
    assert [len(row) for row in rows] == [3, 3]
    assert (rows[0][1:] == 128).all()
    assert tiled(rows).shape == (7, 10)


# --- names of runs ---


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"learning_rate": 3e-4, "width": 2}, "007 lr=3e-4 width=2"),
        ({"scaling": "unit/../x", "channels": (64, 32)}, "007 scaling=unit-..-x channels=64-32"),
        ({}, "007"),
        ({"flag": True, "mc_samples": "inf"}, "007 flag=True mc=inf"),
        ({"n_neighbors": 5, "dropout": 0.123456}, "007 n_neighbors=5 dropout=0.123"),
    ],
)
def test_a_run_is_named_by_its_number_and_what_was_searched(params, name):
    assert run_name("007", params, {}) == name


def test_a_long_name_keeps_what_differs_from_the_default_and_counts_the_rest():
    params = {f"parameter{k}_of_search": k for k in range(9)}
    default = {**params, "parameter7_of_search": -1}
    name = run_name("007", params, default)
    assert len(name) <= LONGEST
    assert name.startswith("007 parameter7=7 parameter0=0 ")
    shown = name.count("=")
    assert name.endswith(f" +{9 - shown}")
    assert len(run_name("007", {"x" * 80: 1.0}, {})) <= LONGEST


# --- what the pages of TensorBoard get ---


def test_the_layout_of_curves_is_read_with_its_regular_expressions(tmp_path):
    charts = {
        "Training": {
            "loss": ["train/loss", Rest("validation/", ("auroc",))],
            "AUROC": Band("validation/auroc", "low", "high"),
        }
    }
    write_layout(tmp_path, charts)
    write_layout(tmp_path, charts)
    assert len(list(tmp_path.iterdir())) == 1
    tags = ("train/loss", "train/loss2", "validation/loss", "validation/auroc")
    with TrialBoard(tmp_path / "run", {}, {}, "run") as one:
        one.scalars(dict.fromkeys(tags, 0.5), 1)
    served = Served(tmp_path)
    (category,) = served.ask("custom_scalars", "layout")["category"]
    loss, band = category["chart"]
    assert band["margin"]["series"] == [
        {"value": "validation/auroc", "lower": "low", "upper": "high"}
    ]
    shown = set()
    for pattern in loss["multiline"]["tag"]:
        reply = served.ask("custom_scalars", "scalars", run="run", tag=pattern)
        assert reply["regex_valid"]
        shown |= reply["tag_to_events"].keys()
    assert shown == {"train/loss", "validation/loss"}


def test_codes_must_fit_their_images(tmp_path):
    images = np.zeros((3, 2, 2), np.uint8)
    for codes, labels in (
        (np.zeros((2, 4)), 3),
        (np.full((3, 4), np.nan), 3),
        (np.ones((3, 4)), 2),
    ):
        one = Embedding("cat", codes, images, {"kind": ["normal"] * labels})
        with pytest.raises(ValueError, match="do not fit"):
            write_embeddings(tmp_path, [one])
    assert list(tmp_path.iterdir()) == [], "nothing is half written"


def test_the_images_of_codes_are_a_square_of_rows():
    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), np.uint8)
    sheet = sprites(images)
    assert sheet.shape == (3 * 2, 3 * 3)
    assert sheet[::2, ::3].tolist() == [[0, 1, 2], [3, 4, 0], [0, 0, 0]]

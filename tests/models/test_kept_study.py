"""The kept model of a study scores as the study did: for every seed, class and chosen value."""

import csv

import pytest
import torch

from tune_ad.models.building import Making, Source, build
from tune_ad.models.folder import ModelFolder, Preprocessing
from tune_ad.models.scoring import Batch, Judge, write_scores
from tune_ad.storage.metric import TEST_AUROC
from tune_ad.training.ranking import auroc


@pytest.fixture(scope="module")
def kept(finished):
    return ModelFolder(finished.folder.best)


def test_every_model_has_the_test_auroc_of_the_run(finished, kept):
    suite, compared = finished.session.suite, 0
    for record in finished.folder.read_evaluation():
        values = record.metrics[TEST_AUROC]
        for position, replica in enumerate(record.replicas):
            task = next(t for t in kept.description.tasks if t.name == replica.task)
            (file,) = [m for m in task.members if m.seed == replica.seed]
            member, groups = kept.member(file), suite.groups(replica.task, "test")
            normal, anomalous = (
                torch.from_numpy(member.scores(suite.pixels[positions]))
                for positions in groups.values()
            )
            assert auroc(normal, anomalous) == pytest.approx(values[position], abs=1e-9)
            compared += 1
    assert compared == 4


def test_a_value_that_a_seed_has_chosen_is_kept_with_its_model(finished, tmp_path):
    """Two seeds of the winner with different numbers of passes are scored with their own."""
    session, folder = finished.session, finished.folder
    first, second = folder.read_evaluation()
    chosen = {"mc_samples": 5} if first.chosen.get("mc_samples") != 5 else {"mc_samples": 0}
    other = type(first)(**{**vars(first), "chosen": {**first.chosen, **chosen}})
    models = folder.models(first.identity)
    sources = [
        Source(record, models / f"seed-{record.replicas[0].seed}") for record in (other, second)
    ]
    shape = session.study.shape
    preprocessing = Preprocessing(shape.height, shape.width, "grey", "stretch")
    texts = dict.fromkeys(("study", "data", "rule", "hardware", "created"), "")
    provenance = {**texts, "versions": {}}
    making = Making(session.study, session.suite, preprocessing, ("0",) * 10, 0.1, provenance)
    build(tmp_path / "best", making, sources)
    task = ModelFolder(tmp_path / "best").description.tasks[0]
    assert task.members[0].chosen == other.changed_at_scoring
    assert task.members[1].chosen == second.changed_at_scoring
    kept = ModelFolder(tmp_path / "best")
    configs = [kept.member(member).module.config.mc_samples for member in task.members]
    assert configs[0] == chosen["mc_samples"]
    assert configs[1] == second.scored_with["mc_samples"]
    assert "chosen on held-out images" in (tmp_path / "best" / "README.md").read_text()


def test_names_of_images_act_neither_on_a_terminal_nor_in_a_spreadsheet(kept, tmp_path):
    judge = Judge(kept, kept.description.tasks[0].normal)
    names, refused = ["=cmd|x", "a\x1b[2J\n.png"], [("@b\udce4.png", "is\rdamaged")]
    pixels = torch.zeros((2, *kept.description.preprocessing.shape), dtype=torch.uint8)
    results = judge.judged([Batch(names, pixels, refused)])
    write_scores(tmp_path / "scores.csv", judge, results)
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        _, first, second, third = csv.reader(file)
    assert (first[0], second[0], third[0]) == ("'=cmd|x", "a\\x1b[2J\\n.png", "'@b\\udce4.png")
    assert third[-1] == "is\\rdamaged"
    assert float(first[1]) == float(second[1])

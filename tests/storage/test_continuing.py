"""A study of schema 1 goes on: what is added is of schema 2, and all of it is read."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.naming import short
from tune_ad.app.command_line.options import Options
from tune_ad.app.preparation.validation import prepare
from tune_ad.detectors.information import PART as INFORMATION
from tune_ad.detectors.pgn.detector import HEAD, SPREAD
from tune_ad.selection import RULES
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import PSEUDO, SEED_AGREEMENT
from tune_ad.storage.records import SCHEMA

GOLDEN = StudyFolder(Path(__file__).parent.parent / "analysis" / "golden" / "quickstart")
LEFT, EVALUATED = 13, 2  # trials and fresh seeds of the golden study that had ended
TRIALS = 14


class Continued(NamedTuple):
    """What was there before, after a resumed run, and after more trials were added."""

    folder: StudyFolder
    before: dict[str, str]
    resumed: dict[str, str]
    extended: dict[str, str]


def texts(folder):
    """The files of a study as text."""
    paths = (folder.study, folder.suggested.path, folder.trials.path, folder.evaluation.path)
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def cut(path, lines):
    """Leave so many lines of a file, as an interruption would."""
    kept = path.read_text(encoding="utf-8").splitlines(keepends=True)[:lines]
    path.write_text("".join(kept), encoding="utf-8")


@pytest.fixture(scope="module")
def continued(tmp_path_factory):
    """A golden study, cut short, then resumed and extended by a trial."""
    results = tmp_path_factory.mktemp("continued")
    folder = StudyFolder(results / "quickstart")
    shutil.copytree(GOLDEN.path, folder.path, ignore=shutil.ignore_patterns("report"))
    cut(folder.trials.path, LEFT)
    cut(folder.evaluation.path, EVALUATED)
    states = [texts(folder)]
    for added in ({"resume": True}, {"extend": 1, "evaluate": False}):
        options = Options(
            "quickstart",
            backend="serial",
            device="cpu",
            progress=False,
            results=results,
            accept_changes=True,  # of the versions
            **added,
        )
        assert prepare(options, say=lambda line: None).run().exit_code == 0
        states.append(texts(folder))
    return Continued(folder, *states)


def schemas(text):
    return [json.loads(line)["schema"] for line in text.splitlines()]


def known(record):
    """The metrics that the version which began the study recorded, too."""
    since = (PSEUDO, INFORMATION, HEAD, SPREAD)
    return tuple(m for m in record.metrics if m.part not in since and m.term != SEED_AGREEMENT)


@pytest.mark.slow
def test_a_resumed_study_holds_lines_of_both_schemas(continued):
    before, resumed = continued.before, continued.resumed
    assert schemas(before["trials.jsonl"]) == [1] * LEFT
    assert schemas(resumed["trials.jsonl"]) == [1] * LEFT + [SCHEMA] * (TRIALS - LEFT)
    assert schemas(resumed["evaluation.jsonl"]) == [1] * EVALUATED + [SCHEMA]
    for name in ("trials.jsonl", "evaluation.jsonl"):
        assert resumed[name].startswith(before[name]), "what was there stays in every byte"
    assert resumed["suggested.jsonl"] == before["suggested.jsonl"]
    stored = json.loads(resumed["study.json"])
    (run,) = stored.pop("runs")
    assert run["trials_before"] == LEFT
    upgraded = StudyFolder(GOLDEN.path).read_study()
    assert stored == json.loads(json.dumps(upgraded))


@pytest.mark.slow
def test_an_extended_study_describes_itself_in_the_new_schema(continued):
    before, extended = json.loads(continued.before["study.json"]), continued.extended
    stored = json.loads(extended["study.json"])
    assert (before["schema"], stored["schema"]) == (1, SCHEMA)
    assert stored["study"]["budget"]["trials"] == TRIALS + 1
    assert (stored["study"]["quotes"], stored["study"]["chooses"]) == ("winner", True)
    assert stored["study"]["pruning"] is False
    assert stored["study"]["chooses_scores"] is False, "its trials have the declared values"
    for name in ("search", "data", "seeds", "fresh_seeds", "versions", "hardware", "created"):
        assert stored[name] == before[name], name
    assert extended["trials.jsonl"].startswith(continued.resumed["trials.jsonl"])
    assert schemas(extended["trials.jsonl"])[LEFT:] == [SCHEMA] * (TRIALS + 1 - LEFT)
    assert extended["suggested.jsonl"].startswith(continued.before["suggested.jsonl"])


@pytest.mark.slow
def test_all_records_of_a_continued_study_are_read_alike(continued):
    records = continued.folder.read_trials()
    assert [record.number for record in records] == list(range(TRIALS + 1))
    assert {record.state for record in records} == {"complete"}
    assert len({record.identity for record in records}) == TRIALS + 1
    golden = GOLDEN.read_trials()
    assert [record.identity for record in records[:TRIALS]] == [r.identity for r in golden]
    for record in records:
        assert set(known(record)) == set(golden[0].metrics), "under the same names"
        assert set(record.variants) == set(golden[0].variants)
        assert record.chosen == {}, "scored with declared values, as before"
        assert record.params.keys() == golden[0].params.keys()
        assert {name: type(value) for name, value in record.params.items()} == {
            name: type(value) for name, value in golden[0].params.items()
        }
        assert len(short(record.metrics)["test_auroc"]) == len(record.replicas) == 6
    assert [type(spec.params["width"]) for spec in continued.folder.read_trial_specs()] == [
        float
    ] * (TRIALS + 1)
    assert {record.schema for record in records} == {1, SCHEMA}
    for name, rule in RULES.items():
        assert rule.compares(records), name


@pytest.mark.slow
def test_all_fresh_seeds_of_a_continued_study_are_read(continued):
    records = continued.folder.read_evaluation()
    assert sorted(record.replicas[0].seed for record in records) == [1000, 1001, 1002]
    assert len({record.identity for record in records}) == 1
    assert len(set(map(known, records))) == 1
    for record in records:
        details = continued.folder.read_details(record.identity, record.replicas[0].seed)
        tasks = {row["task"] for row in details["histograms"]}
        assert tasks == {"digits/0", "digits/2", "digits/8"}
        assert {tuple(row["counts"]["outsiders"]) for row in details["histograms"]} == {("",)}

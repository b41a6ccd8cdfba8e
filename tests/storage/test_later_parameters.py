"""Studies of versions that did not have some parameters are read as they were trained."""

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from tune_ad.app.command_line.options import Options
from tune_ad.app.preparation.validation import prepare
from tune_ad.detectors import every_detector
from tune_ad.detectors.nets import ImageShape
from tune_ad.storage.earlier.later_parameters import LATER, completed
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.records import TrialSpec, identity

GOLDEN = Path(__file__).parent.parent / "analysis" / "golden" / "quickstart"


KNOWN = Path(__file__).parent / "known_parameters.json"


@pytest.mark.parametrize("name", LATER)
def test_the_value_of_earlier_versions_is_the_default_of_the_detectors(name):
    shape = ImageShape(1, 32, 32)
    configs = [detector.Config.released(shape) for detector in every_detector().values()]
    having = [config for config in configs if name in vars(config)]
    assert having
    assert all(getattr(config, name) == LATER[name].value for config in having)
    assert all(LATER[name].companion in vars(config) for config in having)


def test_every_parameter_was_known_to_earlier_versions_or_says_how_they_trained():
    """A new one belongs into `LATER`; without it, begun studies cannot be continued."""
    known = json.loads(KNOWN.read_text(encoding="utf-8"))
    for name, detector in every_detector().items():
        of_detector = {field.name for field in fields(detector.Config)}
        assert of_detector - set(LATER) <= set(known.get(name, of_detector)), name


def test_only_detectors_that_have_a_parameter_get_it():
    assert completed({"nu": 0.1}) == {"nu": 0.1}
    of_aae = {"batch_size": 200, "adversarial_weight": 0.001}
    assert completed(of_aae) == {**of_aae, "last_batch": "filled", "updates": "alternating"}
    assert completed({**of_aae, "last_batch": "short"})["last_batch"] == "short"


def test_the_identifier_of_a_configuration_is_that_of_earlier_versions():
    before = identity("AAE", {"width": 1.0})
    assert identity("AAE", {"width": 1.0, "last_batch": "filled"}) == before
    assert identity("AAE", {"width": 1.0, "updates": "alternating"}) == before
    assert identity("AAE", {"width": 1.0, "last_batch": "short"}) != before


@pytest.mark.parametrize("budget", ["quick", "paper"])
def test_a_study_of_an_earlier_version_goes_on_as_it_was_begun(budget, tmp_path):
    """Also under the budget `paper`, which has other values today."""
    folder = StudyFolder(tmp_path / "quickstart")
    shutil.copytree(GOLDEN, folder.path)
    stored = json.loads(folder.study.read_text(encoding="utf-8"))
    assert "last_batch" not in stored["study"]["baselines"]["PGN"]["params"]
    stored["study"]["budget_name"] = budget
    folder.study.write_text(json.dumps(stored), encoding="utf-8")
    options = Options("quickstart", device="cpu", resume=True, results=tmp_path)
    study = prepare(options, say=lambda line: None).study
    assert study.budget_name == budget
    assert study.config(TrialSpec(0, "PGN", {})).last_batch == "filled"
    known = {record.number: record for record in folder.read_trials()}
    assert known
    for spec in folder.read_trial_specs():
        assert study.identity(spec) == known[spec.number].identity
        assert study.params(spec) == known[spec.number].params

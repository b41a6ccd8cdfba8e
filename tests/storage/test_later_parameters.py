"""Studies of versions that did not have some parameters are read as they were trained."""

import json
import shutil
from pathlib import Path

import pytest

from tune_ad.app.options import Options
from tune_ad.app.validation import prepare
from tune_ad.detectors.autoencoders.aae import AAE
from tune_ad.detectors.nets import ImageShape
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.later_parameters import LATER, completed
from tune_ad.storage.records import TrialSpec, identity

GOLDEN = Path(__file__).parent.parent / "analysis" / "golden" / "quickstart"


def test_the_value_of_earlier_versions_is_the_default_of_the_detectors():
    config = AAE.Config.released(ImageShape(1, 28, 28))
    assert {name: getattr(config, name) for name in LATER} == {
        name: later.value for name, later in LATER.items()
    }


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

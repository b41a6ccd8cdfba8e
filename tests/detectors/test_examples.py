"""The detectors of CONTRIBUTING.md work as they are printed there."""

import re
from pathlib import Path

import pytest
import torch

import tune_ad
from tests.detectors.cases import GREY, IMAGES, replica_set_of, small
from tune_ad.search.own_detector import find_detector

TEXT = (Path(tune_ad.__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", TEXT, re.DOTALL))


@pytest.mark.parametrize(
    ("file", "name", "settings"),
    [
        ("lof.py", "LOF", {"n_neighbors": 5}),
        ("fitted_lof.py", "FittedLOF", {"neighbours": 5}),
        ("sphere.py", "Sphere", {"power": "root"}),
    ],
)
def test_an_example_is_a_detector(file, name, settings, tmp_path):
    (tmp_path / file).write_text(EXAMPLES[file], encoding="utf-8")
    detector = find_detector(f"{tmp_path / file}:{name}")
    replica_set = replica_set_of(detector, small(detector, GREY, **settings), GREY)
    replica_set.train(2)
    replica_set.prepare_scoring()
    scores = replica_set.score(0, torch.arange(IMAGES))["score"]
    assert scores.shape == (IMAGES,)
    assert bool(scores.isfinite().all())
    assert len(scores.unique()) > 1


def test_every_example_is_tried():
    assert sorted(EXAMPLES) == ["fitted_lof.py", "lof.py", "sphere.py"]

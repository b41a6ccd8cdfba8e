"""An exported model scores as the kept model, or is refused with a reason."""

import json
import re
import subprocess
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tests.detectors.cases import COLOUR, GREY, SMALL, applicable, pixels, quick
from tests.marks import slow
from tune_ad import AnomalyDetector, UserError
from tune_ad.detectors import every_detector
from tune_ad.models import export as exporting
from tune_ad.models import graph
from tune_ad.models.export import METADATA, export
from tune_ad.models.folder import ModelFolder
from tune_ad.models.scoring import Judge

FITTED = "is fitted by scikit-learn, not by PyTorch"
PNG = "the score needs the image statistic png_bits"
UNTRACED = "PyTorch's exporter cannot follow how it scores"
TABLE = {
    ("AAE", ""): ("", ""),
    ("AE", ""): ("", ""),
    ("DeepSVDD", ""): ("", ""),
    ("DeepSVDD", "objective=soft-boundary"): ("", ""),
    ("GPND", ""): (UNTRACED, UNTRACED),  # derivatives of the decoder
    ("IsolationForest", ""): (FITTED, FITTED),
    ("KDE", ""): (FITTED, FITTED),
    ("LikelihoodVAE", ""): ("", ""),
    ("LikelihoodVAE", "likelihood=gaussian"): ("", ""),
    ("LikelihoodVAE", "score_by=complexity_corrected"): (PNG, PNG),
    ("LikelihoodVAE", "score_by=negative_iwae"): ("", ""),
    ("LikelihoodVAE", "mixture_components=2"): ("", ""),
    ("LikelihoodVAE", "score_by=regret,regret_steps=4"): (UNTRACED, UNTRACED),  # gradients
    ("OCSVM", ""): (FITTED, FITTED),
    ("PGN", ""): ("", ""),
    ("PGN", "mc_samples=inf"): ("", ""),
    ("PGN", "scaling=gcn"): ("", ""),
    ("VAE", ""): ("", ""),
    ("VAE", "score_samples=3"): ("", ""),
}
"""By detector and settings: why it cannot be exported to ONNX, and to PyTorch; empty if it can.

A detector that is missing here may do either.
"""
UNKNOWN = (None, None)
FAST = {"GPND", "KDE"}
"""The detectors whose default settings `make test` exports; `make check` exports all."""


def settings_of(text):
    """The settings that a row of the table names."""
    pairs = [pair.split("=") for pair in text.split(",")] if text else []
    return {name: int(value) if value.isdecimal() else value for name, value in pairs}


def kept(folder, name, shape=GREY, seeds=1, **settings):
    """The folder of models of a detector that has been trained on noise for two epochs."""
    detector = every_detector()[name]
    small = applicable(detector, {**SMALL, "epochs": 2, "milestones": ()})
    params = {**small, **quick(detector, **settings)}
    images = pixels(shape, 24).permute(0, 2, 3, 1).numpy()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "too few images for a false-alarm rate")
        AnomalyDetector(detector, params=params, seeds=seeds).fit(images).save(folder)
    return folder


def cases():
    others = {(name, ""): UNKNOWN for name in every_detector() if (name, "") not in TABLE}
    for (name, text), reasons in {**TABLE, **others}.items():
        marks = [] if name in FAST and not text else [pytest.mark.slow]
        yield pytest.param(name, settings_of(text), reasons, id=f"{name}-{text}", marks=marks)


def refusal(folder, path):
    """The reason for which a model is not exported; empty if it is."""
    try:
        export(folder, path)
    except UserError as error:
        return re.escape(str(error))
    return ""


def scored_by_onnx(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"pixels": images.numpy()})[0]


def scored_by_torch(path, images):
    return torch.export.load(path).module()(images).detach().numpy()


@pytest.mark.parametrize(("name", "settings", "reasons"), list(cases()))
def test_a_detector_is_exported_or_refused_with_the_reason(tmp_path, name, settings, reasons):
    folder = kept(tmp_path / "kept", name, **settings)
    images = pixels(GREY, 7, seed=1)
    task = ModelFolder(folder).task()
    expected = ModelFolder(folder).ensemble(task).scores(images)
    for suffix, scored, reason in (
        (".onnx", scored_by_onnx, reasons[0]),
        (".pt2", scored_by_torch, reasons[1]),
    ):
        path = tmp_path / f"model{suffix}"
        if reason is None:
            reason = refusal(folder, path)
        if reason:
            with pytest.raises(UserError, match=reason) as caught:
                export(folder, path)
            assert "\n" not in str(caught.value)
            assert not path.exists()
            continue
        assert export(folder, path) == path
        scores = scored(path, images)
        assert scores.dtype == np.float64
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(scored(path, images[:1]), expected[:1], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
@pytest.mark.slow
def test_the_metadata_say_what_follows_from_the_score(tmp_path, suffix):
    folder = kept(tmp_path / "kept", "AE", seeds=2)
    path = export(str(folder), str(tmp_path / f"model{suffix}"), normal="normal")
    task = ModelFolder(folder).task()
    if suffix == ".onnx":
        model = onnx.load(path)
        onnx.checker.check_model(model)
        stored = {entry.key: entry.value for entry in model.metadata_props}
        assert float(stored["threshold"]) == task.threshold.value
        assert json.loads(stored["shape"]) == [1, 8, 8]
    else:
        extra = {METADATA: ""}
        torch.export.load(path, extra_files=extra)
        stored = json.loads(extra[METADATA])
        assert stored["threshold"] == task.threshold.value
        assert stored["classes"] == ["normal"]
    assert stored["tune_ad"] == "0.1.0"
    assert stored["normal"] == "normal"


@pytest.mark.slow
def test_an_exported_model_needs_neither_this_project_nor_pytorch(tmp_path):
    folder = kept(tmp_path / "kept", "PGN", COLOUR)
    path = export(folder, tmp_path / "model.onnx")
    images = pixels(COLOUR, 5)
    np.save(tmp_path / "images.npy", images.numpy())
    program = (
        "import sys, numpy as np, onnxruntime\n"
        f"session = onnxruntime.InferenceSession({str(path)!r})\n"
        f"pixels = np.load({str(tmp_path / 'images.npy')!r})\n"
        "print(*session.run(None, {'pixels': pixels})[0].tolist())\n"
        "assert 'torch' not in sys.modules and 'tune_ad' not in sys.modules\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    task = ModelFolder(folder).task()
    expected = ModelFolder(folder).ensemble(task).scores(images)
    got = [float(word) for word in run.stdout.split()]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_a_model_whose_scores_differ_is_not_written(tmp_path, monkeypatch):
    folder = kept(tmp_path / "kept", "AE")
    ensemble = ModelFolder(folder).ensemble(ModelFolder(folder).task())
    wrong = graph.EnsembleGraph(ensemble)
    wrong.members[0].range = type("Range", (), {"low": 0.0, "high": 1.001})()
    monkeypatch.setattr(exporting, "traced", lambda ensemble: exported(wrong))
    with pytest.raises(UserError, match=r"model\.pt2 is not written: its scores differ"):
        export(folder, tmp_path / "model.pt2")
    assert not (tmp_path / "model.pt2").exists()


def exported(module):
    with torch.enable_grad():
        return torch.export.export(
            module, (pixels(GREY, 3),), dynamic_shapes=({0: torch.export.Dim("n")},)
        )


def test_scores_are_compared_on_photographs_noise_and_plain_images(tmp_path):
    folder = kept(tmp_path / "kept", "AE", COLOUR)
    member = ModelFolder(folder).ensemble(ModelFolder(folder).task()).members[0]
    images = graph.example_pixels(member)
    assert images.dtype == torch.uint8 and images.shape[1:] == tuple(COLOUR)
    spreads = images.float().flatten(1).std(1)
    assert spreads[: graph.TESTED].max() > 0 and spreads[-1] == 0
    assert torch.equal(images, graph.example_pixels(member))


def test_a_suffix_or_a_class_that_is_not_there_is_refused(tmp_path):
    folder = kept(tmp_path / "kept", "AE")
    with pytest.raises(UserError, match=r"model\.pb must end in \.onnx or \.pt2"):
        export(folder, tmp_path / "model.pb")
    with pytest.raises(UserError, match="no model for the normal class 'cat'"):
        export(folder, tmp_path / "model.onnx", normal="cat")
    with pytest.raises(UserError, match="is no kept model"):
        export(tmp_path, tmp_path / "model.onnx")


@pytest.mark.parametrize(("suffix", "small"), [(".ONNX", ".onnx"), (".PT2", ".pt2")])
def test_a_suffix_in_capitals_is_taken(tmp_path, monkeypatch, suffix, small):
    folder = kept(tmp_path / "kept", "AE")
    written = []
    monkeypatch.setitem(exporting.EXPORTERS, small, lambda *given: written.append(given[-1]))
    assert export(folder, tmp_path / f"model{suffix}") == tmp_path / f"model{suffix}"
    assert written == [tmp_path / f"model{suffix}"]


@pytest.mark.parametrize(
    ("suffix", "target", "remedy"),
    [
        slow(".onnx", "onnx.ModelProto.SerializeToString", r"export to \.pt2, or score with"),
        slow(".onnx", "onnxruntime.InferenceSession", r"export to \.pt2, or score with"),
        (".pt2", "torch.export.load", "score with AnomalyDetector.load"),
    ],
)
def test_a_model_that_cannot_be_stored_or_loaded_is_one_line(
    tmp_path, monkeypatch, suffix, target, remedy
):
    def fails(*_, **__):
        raise ValueError("larger than 2 GB\nat line 3")

    folder = kept(tmp_path / "kept", "AE")
    monkeypatch.setattr(target, fails)
    path = tmp_path / f"model{suffix}"
    words = rf"cannot be stored, loaded or run \(ValueError: larger than 2 GB\); {remedy}"
    with pytest.raises(UserError, match=words) as caught:
        export(folder, path)
    assert "\n" not in str(caught.value)
    assert not path.exists()


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    folder = kept(tmp_path / "kept", "AE")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"pip install 'tune_ad\[export\]'"):
        export(folder, tmp_path / "model.onnx")


def test_a_model_of_numbers_with_their_own_range_takes_no_pixels(tmp_path):
    images = np.random.default_rng(0).normal(size=(40, 8, 8))
    params = {"latent_dim": 16, "batch_size": 8}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "too few images for a false-alarm rate")
        detector = AnomalyDetector("AE", params=params, epochs=1).fit(images)
    folder = detector.save(tmp_path / "kept")
    with pytest.raises(UserError, match="numbers with a range of their own"):
        export(folder, tmp_path / "model.onnx")
    with pytest.raises(UserError, match="numbers with a range of their own"):
        Judge(ModelFolder(folder))

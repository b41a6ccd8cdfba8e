"""The benchmark of a GPU, tried on the CPU with tiny sizes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gpu

SLOW = ("GPND", "LikelihoodVAE")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in gpu.DETECTORS]
)
def test_a_stack_agrees_with_replicas_one_by_one(name):
    differences = gpu.agreement(gpu.DETECTORS[name], gpu.shape_of(name, "MNIST"), "cpu")
    assert all(float(value) < 1e-6 for value in differences.values())


@pytest.mark.slow
def test_rates_and_tables_are_printed(capsys):
    sizes = ["--trained", "8"]
    arguments = ["--device", "cpu", "--jobs", "rates", "tables", "--stacks", "2", "--images"]
    arguments += ["MNIST", "--detectors", "PGN", "DeepSVDD", "--precisions", "float32"]
    options = [*arguments, *sizes, "--models", "4", "--scored", "20", "--epochs", "1"]
    assert gpu.main(options) == 0
    printed = capsys.readouterr().out
    assert printed.count("| PGN | MNIST | float32 |") == 2
    assert "| 1 of 100 |" in printed
    assert "| all above | without shallow methods |" in printed


@pytest.mark.slow
def test_a_measurement_that_fails_shows_its_error_and_the_others_go_on(capsys, monkeypatch):
    real = gpu.rates

    def failing(name, *arguments):
        if name == "PGN":
            raise torch.OutOfMemoryError("CUDA out of memory\n| tried")
        return real(name, *arguments)

    monkeypatch.setattr(gpu, "rates", failing)
    options = ["--device", "cpu", "--jobs", "rates", "agree", "--stacks", "2", "--images", "MNIST"]
    options += ["--detectors", "PGN", "DeepSVDD", "--precisions", "float32", "--trained", "8"]
    assert gpu.main([*options, "--scored", "20", "--epochs", "1"]) == 1
    printed = capsys.readouterr().out.splitlines()
    (failed,) = (line for line in printed if "OutOfMemoryError" in line)
    assert "OutOfMemoryError: CUDA out of memory / tried |" in failed
    assert len([line for line in printed if "| DeepSVDD | MNIST | float32 |" in line]) == 2
    assert len({line.count("|") for line in printed if "stack" in line or line == failed}) == 1


@pytest.mark.slow
def test_the_program_starts_without_an_installation(tmp_path):
    program = Path(gpu.__file__)
    hidden = "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in str(f)]"
    run = f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')"
    code = f"{hidden}; sys.argv = ['gpu.py', '--help']; {run}"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--jobs" in done.stdout


def test_without_a_gpu_the_benchmark_says_so(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "there is no GPU; use --device cpu" in capsys.readouterr().err

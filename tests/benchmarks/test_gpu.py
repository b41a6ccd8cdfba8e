"""The benchmark of a GPU, tried on the CPU with tiny sizes."""

import pytest

import gpu


@pytest.mark.parametrize("name", gpu.DETECTORS)
def test_a_stack_agrees_with_replicas_one_by_one(name):
    differences = gpu.agreement(gpu.DETECTORS[name], gpu.shape_of(name, "MNIST"), "cpu")
    assert all(float(value) < 1e-6 for value in differences.values())


def test_rates_and_tables_are_printed(capsys):
    sizes = ["--trained", "8"]
    arguments = ["--device", "cpu", "--jobs", "rates", "tables", "--stacks", "2", "--images"]
    arguments += ["MNIST", "--detectors", "PGN", "DeepSVDD", "--precisions", "float32"]
    gpu.main([*arguments, *sizes, "--models", "4", "--scored", "20", "--epochs", "1"])
    printed = capsys.readouterr().out
    assert printed.count("| PGN | MNIST | float32 |") == 2
    assert "| all |" in printed


def test_without_a_gpu_the_benchmark_says_so(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "there is no GPU; use --device cpu" in capsys.readouterr().err

"""What a command loads takes time at its start, and memory in every process."""

import subprocess
import sys

import pytest

COMPILER = {"torch._dynamo", "torch._inductor", "torch.utils.flop_counter", "triton", "sympy"}
RARELY_NEEDED = {"sklearn", "scipy.stats"}
COMMAND = "from tune_ad.app.command_line.cli import main; assert main(sys.argv[1:]) == 0"
QUICKSTART = ("--search", "quickstart", "--budget", "quick")
SMALL = ("--trials", "2", "--epochs", "2", "--evaluation-seeds", "2", "--backend", "serial")


def loaded(program, *arguments):
    """The names of the modules that are loaded when a program ends."""
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.splitlines()[-1].split())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return str(tmp_path_factory.mktemp("results"))


@pytest.mark.slow
def test_an_estimate_does_without_the_compiler_of_pytorch(results):
    modules = loaded(COMMAND, *QUICKSTART, "--dry-run", "--results", results)
    assert "torch" in modules
    assert not COMPILER & modules


@pytest.mark.slow
def test_training_and_the_report_of_a_few_trials_load_only_what_they_need(results):
    modules = loaded(COMMAND, *QUICKSTART, *SMALL, "--results", results)
    assert not COMPILER & modules
    modules = loaded(COMMAND, "--report", "quickstart", "--results", results)
    assert "scipy.special" in modules
    assert not RARELY_NEEDED & modules


@pytest.mark.slow
def test_a_worker_of_ray_does_without_the_compiler_of_pytorch():
    assert not COMPILER & loaded("import tune_ad.execution.ray.trainable")

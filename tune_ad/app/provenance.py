"""The software versions and the hardware of a run."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import tune_ad

PACKAGES = ("torch", "ray", "optuna", "numpy", "scikit-learn", "tensorboard")
NO_CHECKOUT = "none (installed as a package)"


def versions() -> dict[str, str]:
    """The versions of this project, of Python and of the packages that compute the numbers.

    The commit is that of the checkout, or `NO_CHECKOUT` if the project was installed as a package.
    """
    return {
        "tune_ad": tune_ad.__version__,
        "commit": _commit(Path(tune_ad.__file__).parents[1]),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _commit(checkout: Path) -> str:
    """The commit of a checkout, with "-dirty" if it has changes.

    It is not the commit of another repository in which the project lies.
    """
    if not (checkout / ".git").exists():
        return NO_CHECKOUT
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip()


def own_files(files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """The path and the SHA-256 of each file of a user's own code, by its role in the study."""
    return {
        role: {
            "path": str(path.resolve()),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for role, path in files.items()
    }


def hardware(device: str) -> dict[str, Any]:
    """The machine that trains: device, GPU, CPU cores, processor, operating system."""
    gpu = torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else ""
    return {
        "device": device,
        "gpu": gpu,
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "platform": sys.platform,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()

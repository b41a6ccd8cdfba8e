"""Where numbers come from: the versions of what computed them, and the machine."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from tune_ad import __version__


def versions() -> dict[str, str]:
    """Of this project (with its commit, if it is a checkout) and of what computes the numbers."""
    names = ("torch", "ray", "optuna", "numpy", "scikit-learn", "tensorboard")
    found = {name: importlib.metadata.version(name) for name in names}
    own = {"tune_ad": __version__, "commit": _commit(), "python": platform.python_version()}
    return own | found


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip()


def hardware(device: str) -> dict[str, Any]:
    """The machine that trains."""
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

"""What every Python process of the tests does first.

`tests/conftest.py` runs it in the process of pytest and puts this folder on `PYTHONPATH`, so that
processes started by a test, Ray's workers among them, run it at their start: Python looks for a
module of this name.
"""

import runpy
from pathlib import Path

for name in ("no_network.py", "no_figures.py"):
    runpy.run_path(str(Path(__file__).with_name(name)))

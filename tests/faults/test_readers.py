"""Hypothesis over every reader: whatever the file, it is read or refused in one line."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.storage.test_continuing import GOLDEN
from tune_ad.data.npz_files import read_npz
from tune_ad.errors import UserError
from tune_ad.models.folder import ModelFolder
from tune_ad.search.search_file import declarations
from tune_ad.storage import score_ranks
from tune_ad.storage.folder import StudyFolder

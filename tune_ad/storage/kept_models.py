"""Which trained models of a study are kept, and the description of kept ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tune_ad.errors import UserError, one_line

KEEP_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "none": "no model",
        "best": "those of the winner on fresh seeds",
        "all": "those of every trial as well",
    }
)
"""Which trained models are kept, with what that means."""

FORMAT = 1
DESCRIPTION = "model.json"


def read_description(folder: Path) -> dict[str, Any] | None:
    """The content of the description of a kept model; None if the folder has none.

    Raises:
        UserError: if it is damaged, or of a newer format.
    """
    file = folder / DESCRIPTION
    if not file.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        version = content["format"]
        is_newer = version > FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged ({one_line(error)}); copy the folder again") from error
    if is_newer:
        raise UserError(
            f"{file} has format {version}, this version reads up to {FORMAT}; install a newer "
            "tune_ad"
        )
    return content

"""The batches that the trials of a study may have, for checks before it begins."""

import itertools
from collections.abc import Iterable
from typing import Any

from tune_ad.search.plans import all_values
from tune_ad.search.study import Study

OF_BATCHES = ("batch_size", "last_batch")


def batches_tried(study: Study, baseline: str) -> list[dict[str, Any]]:
    """The values of `batch_size` and `last_batch` that trials of a baseline may combine, by name.

    Those of the configurations that the plan lists in advance; every combination in the search
    space if it adapts. A name is missing if it is not searched.

    Args:
        study: the study.
        baseline: the name of the baseline.
    """
    space = study.baselines[baseline].space
    names = [name for name in OF_BATCHES if name in space]
    combined: Iterable[tuple[Any, ...]]
    if study.planned is None:
        combined = itertools.product(*(all_values(space[name]) or () for name in names))
    else:
        tried = (c for c in study.planned[: study.trials] if c.baseline == baseline)
        combined = (tuple(c.params[name] for name in names) for c in tried)
    return [dict(zip(names, values, strict=True)) for values in dict.fromkeys(combined)]

"""A search on images that it does not declare."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from tune_ad.data import available
from tune_ad.errors import UserError
from tune_ad.sample_sizes import LEAST_LABELS
from tune_ad.search.budgets import Budget
from tune_ad.search.declaration import Search
from tune_ad.selection import RULES, automatic


class Images(NamedTuple):
    """What a search must know of the images on which it runs.

    Attributes:
        name: the short name of the data set.
        channels: 1 or 3.
        labelled_anomalies: the number of anomalies among the training images, in the task that has
            the fewest; None if there are as many as in the published data sets.
        has_anomalies: whether a test image is anomalous.
    """

    name: str
    channels: int
    labelled_anomalies: int | None
    has_anomalies: bool


def on_images(search: Search, study: str, images: Images) -> Search:
    """The search on other images, with the budgets that it has for images of as many channels.

    Without a budget's restriction to some classes. If too few anomalies are labelled for the
    search's rule, it selects by the first automatic rule that needs none.

    Args:
        search: a search in which each class is a task.
        study: the name of the search on these images.
        images: the images.

    Raises:
        UserError: if the search compares whole data sets.
    """
    if search.of_whole_sets:
        raise UserError(
            f"{study}: --data needs a search in which one class is normal and the others are "
            "anomalous, but this one is about a whole data set; use another search, or leave "
            "--data out"
        )
    alike = next((data for data in search.data if _channels(data) == images.channels), "")
    budgets = {name: _every_class(b) for name, b in search.budgets_for(alike).items()}
    moved = replace(
        search,
        name=study,
        data=(images.name,),
        name_on={},
        budgets=budgets,
        budgets_on={},
        whole=not images.has_anomalies,
        labelled=images.labelled_anomalies != 0,
    )
    return replace(moved, selection=_rule(search, moved, images, budgets))


def _channels(data: str) -> int:
    """The number of channels of a declared data set; 0 if it is unknown."""
    declared = available().get(data)
    return declared.shape[0] if declared and declared.shape else 0


def _every_class(budget: Budget) -> Budget:
    return replace(budget, classes=None)


def _rule(search: Search, moved: Search, images: Images, budgets: Mapping[str, Budget]) -> str:
    """The selection rule: the search's own, unless it needs more labels than there are."""
    needs_labels = RULES[search.selection].looks_at in ("held-out anomalies", "test images")
    few = images.labelled_anomalies is not None and images.labelled_anomalies < LEAST_LABELS
    if not (needs_labels and few):
        return search.selection
    quick = budgets["quick"]
    return automatic(
        lambda rule: RULES[rule].looks_at == "held-out normals" and moved.has_data_for(rule, quick)
    )

"""Selection by the test set, as the optimistic bound of every other rule."""

from tune_ad.selection.rule import SelectionRule
from tune_ad.storage.metric import TEST_AUROC

RULES = (
    SelectionRule(
        name="oracle",
        title="test AUROC (optimistic, because the test set is used for selection)",
        looks_at="test images",
        metrics=(TEST_AUROC,),
        labels=("test AUROC",),
        is_auroc=True,
    ),
)

"""Selection by labelled anomalies: AUROC of held-out normal images and held-out anomalies."""

from tune_ad.selection.rule import SelectionRule
from tune_ad.storage.metric import VALIDATION_AUROC

RULES = (
    SelectionRule(
        name="validation",
        title="validation AUROC (held-out training images)",
        looks_at="held-out anomalies",
        metrics=(VALIDATION_AUROC,),
        labels=("validation AUROC",),
        is_auroc=True,
    ),
)

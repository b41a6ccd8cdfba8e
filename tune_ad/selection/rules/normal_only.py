"""Selection by the loss of held-out normal images."""

from tune_ad.selection.rule import SelectionRule
from tune_ad.storage.metric import LOSS, Metric

RULES = (
    SelectionRule(
        name="normal_only",
        title="the training loss of held-out normal images (no anomaly is used)",
        looks_at="held-out normals",
        metrics=(Metric("validation", "loss"),),
        labels=("loss of held-out normal images",),
        sign=-1.0,
        quantity=LOSS,
    ),
)

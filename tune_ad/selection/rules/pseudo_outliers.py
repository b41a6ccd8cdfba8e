"""Selection by pseudo-outliers: AUROC of held-out normal images and anomalies made from them.

One rule for each generator of `tune_ad.pseudo_outliers`, and one for all of them together. No
anomaly is used.
"""

from tune_ad.pseudo_outliers import generators
from tune_ad.selection.rule import SelectionRule
from tune_ad.storage.metric import PSEUDO, Metric


def _rule(name: str, title: str, generator: str) -> SelectionRule:
    """The rule of one generator, or of all together if `generator` is empty."""
    kind = f" ({generator})" if generator else ""
    return SelectionRule(
        name=name,
        title=f"AUROC of held-out normal images against {title} (no anomaly is used)",
        looks_at="held-out normals",
        metrics=(Metric(PSEUDO, "auroc", generator),),
        labels=(f"AUROC of pseudo-outliers{kind}",),
        is_auroc=True,
    )


TOGETHER = _rule("pseudo_outliers", "pseudo-outliers made from them, the median over kinds", "")
RULES = (
    TOGETHER,
    *(
        _rule(f"pseudo_{generator.name}", f"the same images {generator.title}", generator.name)
        for generator in generators().values()
    ),
)

"""Selection by seed agreement: how alike two or more seeds of a configuration rank images.

A configuration whose models rank the same images alike has learned something that does not depend
on its seed; a collapsed one ranks them by rounding errors. No anomaly is used. After the model
centrality of Lin et al., "InfoGAN-CR and ModelCentrality" (ICML 2020), which Ma et al., "The need
for unsupervised outlier model selection" (SIGKDD Explorations 2023), apply to outlier detectors.
"""

from tune_ad.selection.rule import SelectionRule
from tune_ad.storage.metric import PSEUDO, SEED_AGREEMENT, Metric

RULES = (
    SelectionRule(
        name="seed_agreement",
        title="the rank correlation of held-out normal images between seeds (no anomaly is used)",
        looks_at="held-out normals",
        seeds=2,
        metrics=(Metric("validation", SEED_AGREEMENT),),
        labels=("rank correlation between seeds",),
    ),
    SelectionRule(
        name="seed_agreement_pseudo",
        title=(
            "the rank correlation of held-out normal images and pseudo-outliers between seeds (no "
            "anomaly is used)"
        ),
        looks_at="held-out normals",
        seeds=2,
        metrics=(Metric(PSEUDO, SEED_AGREEMENT),),
        labels=("rank correlation between seeds, with pseudo-outliers",),
    ),
)

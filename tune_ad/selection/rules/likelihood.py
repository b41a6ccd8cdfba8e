"""Selection by the likelihood of held-out normal images, for detectors that have one.

The tightest bound that is recorded is used: the ELBO of an encoder that was trained by the forward
KL is looser by construction.
"""

from tune_ad.selection.rule import SelectionRule
from tune_ad.storage.metric import BITS_PER_DIM, LIKELIHOOD, Metric

IWAE_BOUND = Metric("validation", "negative_iwae")
RULES = (
    SelectionRule(
        name="likelihood",
        title="bits per dimension of held-out normal images (IWAE bound; no anomaly is used)",
        looks_at="held-out normals",
        metrics=(IWAE_BOUND._replace(unit=BITS_PER_DIM), IWAE_BOUND),
        labels=(
            "bits per dimension of held-out normal images",
            "nats per held-out normal image",
        ),
        sign=-1.0,
        quantity=LIKELIHOOD,
    ),
)

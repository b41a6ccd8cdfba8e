"""The gap between the likelihood bounds of training and of test images.

For a part of the score that is a bound, such as "negative_elbo", in nats per image:

    training_negative_elbo    mean over as many training images as there are normal test images
    gap_negative_elbo         mean over normal test images minus that; larger = more overfitted
"""

from collections.abc import Callable, Sequence

from tune_ad.detectors.base import Numbers, Terms
from tune_ad.storage.metric import Metric


def train_test_gap(scored: Callable[[str], Terms], bounds: Sequence[str]) -> Numbers:
    """The training bound and the gap of each bound; empty if there are no test images.

    Args:
        scored: a function that returns the parts of the score of "train" and "test" images, as in
            `Detector.diagnose`.
        bounds: names of parts of the score, in nats per image.
    """
    tested = scored("test")
    trained = scored("train") if tested else {}
    numbers: Numbers = {}
    for bound in bounds if tested else ():
        training = float(trained[bound].mean())
        numbers[Metric("training", bound)] = training
        numbers[Metric("gap", bound)] = float(tested[bound].mean()) - training
    return numbers

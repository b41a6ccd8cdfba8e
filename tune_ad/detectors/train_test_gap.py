"""The gap between the likelihood bounds of training and of test images.

For a component of the score that is a bound, such as "negative_elbo", in nats per image:

    resubstitution_negative_elbo    mean over as many training images as there are normal test
                                    images, computed with the trained model
    gap_negative_elbo               mean over normal test images minus that; larger = more
                                    overfitted
"""

from collections.abc import Callable, Sequence

from tune_ad.detectors.base import Numbers, Terms
from tune_ad.storage.metric import RESUBSTITUTION, Metric


def train_test_gap(scored: Callable[[str], Terms], bounds: Sequence[str]) -> Numbers:
    """The bound of training images and the gap of each bound; empty if there are no test images.

    Args:
        scored: a function that returns the components of the score of "train" and "test" images,
            as in `Detector.diagnose`.
        bounds: names of components of the score, in nats per image.
    """
    tested = scored("test")
    trained = scored("train") if tested else {}
    numbers: Numbers = {}
    for bound in bounds if tested else ():
        resubstituted = float(trained[bound].mean())
        numbers[Metric(RESUBSTITUTION, bound)] = resubstituted
        numbers[Metric("gap", bound)] = float(tested[bound].mean()) - resubstituted
    return numbers

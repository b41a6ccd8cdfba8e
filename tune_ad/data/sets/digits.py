"""Digits: the handwritten digits that come with scikit-learn, 8 x 8 grey."""

import numpy as np

from tune_ad.data.declaration import Arrays, DataSet
from tune_ad.randomness import numpy_stream

TEST_FRACTION = 0.3
LARGEST_VALUE = 16


def _from_scikit_learn() -> Arrays:
    """The 1,797 images with a fixed split into training and test images.

    Of each class's n images, the first round(0.3 n) of a permutation drawn from the stream
    (0, "digits test part", class) are test images; both parts keep scikit-learn's order.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / LARGEST_VALUE)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        indices = np.flatnonzero(labels == digit)
        shuffled = numpy_stream(0, "digits test part", digit).permutation(indices)
        test[shuffled[: round(TEST_FRACTION * len(indices))]] = True
    return Arrays(images[~test], labels[~test], images[test], labels[test])


DATA_SET = DataSet(
    name="digits",
    classes=tuple("0123456789"),
    about="scikit-learn's digits, all 1,797 images, 70 % for training and 30 % for testing",
    shape=(1, 8, 8),
    embedded=_from_scikit_learn,
)

"""How much must be trained before a study can answer: seeds, pairs, optimiser steps."""

import math

SIGNIFICANCE = 0.05
LEAST_PAIRS = 6  # minimum number of seeds for a test over seeds, or a bootstrap interval
LEAST_SEEDS = 3  # minimum number for a test over class x seed, or against published numbers
LEAST_STEPS = 500  # optimiser steps of a model from which configurations can be ranked
LEAST_LABELS = 30  # labelled anomalies from which selection may rely on them
LEAST_EFFECTIVE = 2.0  # effective number of importance weights from which training follows them


def least_effective(codes: int) -> float:
    """The effective number of K importance weights from which training follows all of them.

    It is `LEAST_EFFECTIVE`, or for K = 2 halfway from 1 to K.

    >>> least_effective(2), least_effective(16)
    (1.5, 2.0)
    """
    return min(LEAST_EFFECTIVE, (1 + codes) / 2)


def auroc_half_width(auroc: float, normal: int, anomalous: int) -> float:
    r"""Half the width of the 95 % interval of an AUROC that is due to the sampling of images.

    1.96 times the standard error of Hanley and McNeil, Radiology 143 (1982), equation 2, with
    $Q_1 = A / (2 - A)$ and $Q_2 = 2 A^2 / (1 + A)$, which exponential distributions of the scores
    imply:
    $\sqrt{(A (1 - A) + (m - 1)(Q_1 - A^2) + (n - 1)(Q_2 - A^2)) / (m n)}$.

    Args:
        auroc: the AUROC A, in (0, 1).
        normal: the number n of normal images, at least 1.
        anomalous: the number m of anomalies, at least 1.

    >>> round(auroc_half_width(0.9, 500, 20), 3), round(auroc_half_width(0.9, 500, 200), 3)
    (0.091, 0.03)
    """
    q1, q2, square = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc), auroc**2
    spread = (anomalous - 1) * (q1 - square) + (normal - 1) * (q2 - square)
    return 1.96 * math.sqrt((auroc * (1 - auroc) + spread) / (normal * anomalous))


def smallest_p(n: int) -> float:
    """The smallest possible two-sided p of n pairs: all differences have the same sign.

    >>> smallest_p(5), smallest_p(6)
    (0.0625, 0.03125)
    """
    return min(1.0, 2.0 ** (1 - n))


def pairs_for(tests: int) -> int:
    """The smallest number of pairs of which a family of tests can find a significant one.

    The smallest p is multiplied by the number of tests (Holm, 1979).

    >>> pairs_for(1), pairs_for(17)
    (6, 10)
    """
    return max(LEAST_PAIRS, 1 + math.ceil(math.log2(tests / SIGNIFICANCE)))


def seeds_for(tests: int, tasks: int) -> int:
    """The smallest number of seeds of which a family of tests over task and seed can find one.

    Args:
        tests: the number of tests of the family.
        tasks: the number of tasks, such as classes; each seed is a pair for every task.

    >>> seeds_for(17, tasks=2), seeds_for(17, tasks=10), seeds_for(9, tasks=1)
    (5, 3, 9)
    """
    return max(LEAST_SEEDS, -(-pairs_for(tests) // tasks))

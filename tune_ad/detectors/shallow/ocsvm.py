"""One-class SVM: an image is anomalous if it lies outside the region of normal images."""

from dataclasses import dataclass
from typing import Any, Literal

from tune_ad.detectors.config import number
from tune_ad.detectors.shallow.base import SKLEARN_SEEDS, Rows, ShallowConfig, ShallowDetector


@dataclass(frozen=True)
class OCSVMConfig(ShallowConfig):
    """Hyperparameters of `OCSVM`.

    Attributes:
        nu: upper bound on the fraction of training images outside the region, and lower bound on
            the fraction of support vectors, in (0, 1].
        gamma: the parameter gamma of the kernel; "scale" is 1 / (d v), where d is the number of
            features and v the variance of all their values taken together.
    """

    nu: float = number(0.1, "(0, 1]")
    gamma: float | Literal["scale"] = number("scale", "(0, inf)", word="scale", others=(0.5,))


class OCSVM(ShallowDetector[OCSVMConfig]):
    r"""One-class support vector machine with a Gaussian kernel on principal components.

    The kernel is $k(x, y) = \exp(-\gamma \lVert x - y \rVert^2)$ in squared units of the scaled
    pixel. The score is minus the decision function, $\rho - \sum_i \alpha_i k(x_i, x)$ with
    $0 \le \alpha_i \le 1$ and $\sum_i \alpha_i = \nu n$ over the n training images $x_i$: in
    $[\rho - \nu n, \rho]$, without a unit, 0 on the boundary of the region, positive outside;
    larger = more anomalous. Far from every support vector the kernel underflows, and all scores
    are $\rho$.

    Ruff et al. choose gamma from $2^{-10}, \ldots, 2^{-1}$ by the AUROC on a labelled tenth of
    the *test* set. This is not done here: gamma is "scale", or is chosen on validation images.
    Therefore their published numbers are not reproduced.

    Sources: Schoelkopf et al., Neural Computation 13(7), 2001; nu, the kernel and 95 % of the
    variance as in the shallow baselines of Ruff et al., Deep One-Class Classification, ICML 2018.
    """

    Config = OCSVMConfig

    def fit_estimator(self, features: Rows, seed: int) -> Any:  # noqa: ANN401
        """The fitted support vector machine, which does not depend on the seed."""
        from sklearn.svm import OneClassSVM

        machine = OneClassSVM(nu=self.config.nu, gamma=self.config.gamma)
        # Otherwise scikit-learn draws a seed, which libsvm ignores, from NumPy's global stream.
        machine.random_state = seed % SKLEARN_SEEDS
        return machine.fit(features)

    def score_features(self, features: Rows) -> Rows:
        """Minus the decision function, shape (n,)."""
        scores: Rows = -self.estimator.decision_function(features)
        return scores

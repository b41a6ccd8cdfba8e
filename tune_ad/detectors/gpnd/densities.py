"""The densities that GPND fits on training images: generalised Gaussians and a histogram."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tune_ad.errors import DegenerateInputError

SHAPES = (0.5, 32.0)  # towards 0 the likelihood is unbounded, towards infinity it is uniform
LOG_SHAPES = tuple(math.log(each) for each in SHAPES)
ROUNDS, STEPS, ZOOM = 12, 6, 2.5
GOLDEN = (math.sqrt(5) - 1) / 2
LARGEST_POWER = 1e300
LEAST_OFFSET = 2.0**-13  # in scales
LEAST_DENSITY = 2.0**-1022  # 2.2e-308; the official 1e-308 is no normal float64
LEAST_DISTANCE = 2.0**-23  # float32 cannot tell an image in [0, 1] from its copy below this
ROUNDING = 2.0**-17  # relative, of a residual in float32 networks


class GeneralisedGaussian(NamedTuple):
    r"""Densities $\frac{\beta}{2 \alpha \Gamma(1/\beta)} \exp(-|(z - \mu) / \alpha|^\beta)$.

    One for each of J coordinates, which are independent; every field has shape (J,), float64.
    Laplace at $\beta = 1$, Gaussian at 2, towards uniform as it grows.
    """

    shape: Tensor
    location: Tensor
    scale: Tensor

    def log_density(self, values: Tensor) -> Tensor:
        r"""The sum over coordinates in nats, finite, for values of shape (batch, J).

        Below $\beta = 1$ the density has a cusp, which would enlarge the rounding of float32
        codes: $|z - \mu|$ is at least $2^{-13} \alpha$, which costs at most 0.01 nats.
        """
        shape, location, scale = self
        offsets = ((values - location).abs() / scale).clamp(min=LEAST_OFFSET)
        powers = offsets.pow(shape).clamp(max=LARGEST_POWER)
        constant = (shape / (2 * scale)).log() - (1 / shape).lgamma()
        logs: Tensor = constant - powers
        return logs.sum(1)


def require_finite(what: str, finite: Tensor) -> None:
    """Refuse to fit a density to something that is not finite.

    Args:
        what: is fitted, in the plural.
        finite: for each image whether it is finite, shape (n,).

    Raises:
        DegenerateInputError: naming how many are not.
    """
    bad = int((~finite).sum())
    if bad:
        raise DegenerateInputError(
            f"{bad} of {len(finite)} {what} of the training images are NaN or infinite, so no "
            "density can be fitted to them"
        )


def fitted_gaussian(values: Tensor) -> GeneralisedGaussian:
    r"""The generalised Gaussians of maximum likelihood.

    Given $\beta$ and $\mu$ the best scale is
    $\alpha = (\frac{\beta}{n} \sum_i |z_i - \mu|^\beta)^{1/\beta}$. The likelihood at that scale
    is maximised over $\log\beta$ and $\mu$ in turn, by golden sections of brackets that shrink
    round by round, for all coordinates at once. $\beta$ is kept in [0.5, 32].

    Args:
        values: float64, shape (n, J).

    Raises:
        DegenerateInputError: if a code is not finite, or a coordinate varies no more than float32
            rounds, naming it.
    """
    require_finite("codes", values.isfinite().all(1))
    low, high = values.aminmax(dim=0)
    constant = high - low <= ROUNDING * torch.maximum(low.abs(), high.abs())
    if bool(constant.any()):
        first = int(constant.nonzero()[0])
        raise DegenerateInputError(
            f"latent dimension {first} has the same value {float(low[first]):g} for all "
            f"{len(values)} training images ({int(constant.sum())} of {values.shape[1]} "
            "dimensions are like that), so no density can be fitted to it"
        )
    location = values.mean(0)
    log_shape = torch.full_like(location, sum(LOG_SHAPES) / 2)
    for turn in range(ROUNDS):
        share = ZOOM**-turn / 2
        log_shape = best_log_shape(values, location, log_shape, share)
        location = best_location(values, location, log_shape, (high - low) * share)
    shape = log_shape.exp()
    moment = log_moment((values - location).abs().log(), shape)
    return GeneralisedGaussian(shape, location, ((log_shape + moment) / shape).exp())


def best_log_shape(values: Tensor, location: Tensor, centre: Tensor, share: float) -> Tensor:
    r"""The likeliest $\log\beta$ given $\mu$ within a share of all values around `centre`."""
    logs = (values - location).abs().log()
    least, largest = LOG_SHAPES

    def function(tried: Tensor) -> Tensor:
        return unlikelihood(logs, tried.clamp(least, largest))

    return golden_section(function, centre, (largest - least) * share).clamp(least, largest)


def best_location(values: Tensor, centre: Tensor, log_shape: Tensor, reach: Tensor) -> Tensor:
    r"""The likeliest $\mu$ given $\beta$ within `reach` of `centre`, shape (J,)."""

    def function(tried: Tensor) -> Tensor:
        return unlikelihood((values - tried).abs().log(), log_shape)

    return golden_section(function, centre, reach)


def unlikelihood(logs: Tensor, log_shape: Tensor) -> Tensor:
    r"""Minus the mean log-likelihood at the best scale, shape (J,).

    Args:
        logs: $\log |z - \mu|$, shape (n, J).
        log_shape: $\log\beta$, shape (J,).
    """
    shape = log_shape.exp()
    log_scale = (log_shape + log_moment(logs, shape)) / shape
    return log_scale + 1 / shape + (1 / shape).lgamma() + math.log(2) - log_shape


def log_moment(logs: Tensor, shape: Tensor) -> Tensor:
    r"""$\log \frac1n \sum_i |z_i - \mu|^\beta$ from logs of shape (n, J), without overflow."""
    largest = logs.amax(0)
    return shape * largest + ((logs - largest) * shape).exp().mean(0).log()


def golden_section(
    function: Callable[[Tensor], Tensor], centre: Tensor, reach: Tensor | float
) -> Tensor:
    """Where a function is least within `reach` of `centre`, for each of J coordinates.

    Golden-section search: `STEPS` steps leave 0.06 of the bracket. Of several minima it finds one.

    Args:
        function: of shape (J,) to shape (J,), one coordinate at a time.
        centre: of the brackets, shape (J,).
        reach: half their widths.
    """
    low, high = centre - reach, centre + reach
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(STEPS):
        lower = at_left < at_right
        low, high = torch.where(lower, low, left), torch.where(lower, right, high)
        new = torch.where(lower, high - GOLDEN * (high - low), low + GOLDEN * (high - low))
        value = function(new)
        left, right = torch.where(lower, new, right), torch.where(lower, left, new)
        at_left, at_right = (
            torch.where(lower, value, at_right),
            torch.where(lower, at_left, value),
        )
    return torch.where(at_left < at_right, left, right)


class Histogram(NamedTuple):
    """A density of distances, constant within bins of equal width between two ends.

    Attributes:
        ends: of the first and the last bin, shape (2,), float64.
        density: of each bin, shape (bins,), per unit of distance, float64.
    """

    ends: Tensor
    density: Tensor

    def log_density(self, distances: Tensor) -> Tensor:
        """In nats, at least -708.4, for distances >= 0 of shape (batch,).

        As in the official code, the density falls to 0 linearly from the first bin towards
        distance 0, and there is none beyond the last bin.
        """
        (low, high), bins = self.ends, len(self.density)
        position = ((distances - low) / (high - low) * bins).floor()
        inside = self.density[position.clamp(0, bins - 1).long()]
        below = torch.where(distances < low, distances / low, 1.0)
        density = inside * below * (position < bins)
        kept: Tensor = density.clamp(min=LEAST_DENSITY)
        return kept.log()


def fitted_histogram(distances: Tensor, bins: int) -> Histogram:
    """The histogram between the least and the largest of the distances, shape (n,), float64.

    Its upper end is raised by a relative 2^-17: which images are scored together alters the
    rounding of a residual, and the largest one must not drop out.

    Raises:
        DegenerateInputError: if all distances are equal or one is not finite.
    """
    require_finite("residuals", distances.isfinite())
    low, high = distances.aminmax()
    upper = high * (1 + ROUNDING)
    if bool(high - low <= ROUNDING * high):
        raise DegenerateInputError(
            f"the residuals of all {len(distances)} training images have the same norm "
            f"{float(high):g}, so no histogram can be fitted to them"
        )
    counts = torch.histc(distances, bins, float(low), float(upper))
    return Histogram(torch.stack((low, upper)), counts / (len(distances) * (upper - low) / bins))

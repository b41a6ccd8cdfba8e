"""The densities that GPND fits to training images: generalised Gaussians and a histogram."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tune_ad.errors import DegenerateInputError

# Bounds of log beta: at beta 0 the likelihood is unbounded, at infinity the density is uniform.
LOG_SHAPE_BOUNDS = (math.log(0.5), math.log(32.0))
ALTERNATIONS = 12  # number of alternations between the searches for beta and mu
BRACKET_SHRINKAGE = 2.5  # factor by which the brackets shrink per alternation
SECTION_STEPS = 6  # steps of each golden-section search
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
LARGEST_POWER = 1e300  # maximum of |(z - mu) / alpha|^beta, so that the log-density stays finite
LEAST_OFFSET = 2.0**-13  # minimum of |z - mu|, in units of the scale
LEAST_DENSITY = 2.0**-1022  # 2.2e-308, the least normal float64; the official code has 1e-308
LEAST_DISTANCE = 2.0**-23  # resolution of float32 pixels in [0, 1]
RELATIVE_ROUNDING = 2.0**-17  # relative rounding error of a residual in float32 networks


class GeneralisedGaussian(NamedTuple):
    r"""Densities $\frac{\beta}{2 \alpha \Gamma(1/\beta)} \exp(-|(z - \mu) / \alpha|^\beta)$.

    There is one for each of J independent coordinates. A density is Laplace for $\beta = 1$,
    Gaussian for 2, and approaches a uniform density as $\beta$ grows.

    Attributes:
        shape: $\beta$ of each coordinate, shape (J,), float64.
        location: $\mu$ of each coordinate, shape (J,), float64.
        scale: $\alpha$ of each coordinate, shape (J,), float64.
    """

    shape: Tensor
    location: Tensor
    scale: Tensor

    def log_density(self, values: Tensor) -> Tensor:
        r"""The log-density of values (batch, J), summed over coordinates: (batch,), nats, finite.

        Below $\beta = 1$ the density has a cusp, which would magnify the rounding of float32
        codes. Therefore $|z - \mu|$ is at least $2^{-13} \alpha$, an error of at most 0.01 nats.
        """
        shape, location, scale = self
        offsets = ((values - location).abs() / scale).clamp(min=LEAST_OFFSET)
        powers = offsets.pow(shape).clamp(max=LARGEST_POWER)
        constant = (shape / (2 * scale)).log() - (1 / shape).lgamma()
        logs: Tensor = constant - powers
        return logs.sum(1)


def require_finite(what: str, finite: Tensor) -> None:
    """Check that the values to which a density is fitted are finite.

    Args:
        what: the name of the values in the plural, e.g. "codes".
        finite: whether the values of each image are finite, shape (n,).

    Raises:
        DegenerateInputError: with the number of images whose values are not.
    """
    bad = int((~finite).sum())
    if bad:
        raise DegenerateInputError(
            f"{bad} of {len(finite)} {what} of the training images are NaN or infinite, so no "
            "density can be fitted to them"
        )


def fitted_gaussian(values: Tensor) -> GeneralisedGaussian:
    r"""Fit a generalised Gaussian by maximum likelihood to each coordinate of the codes.

    For fixed $\beta$ and $\mu$ the likelihood is maximal at the scale
    $\alpha = (\frac{\beta}{n} \sum_i |z_i - \mu|^\beta)^{1/\beta}$. The likelihood at that scale
    is maximised over $\log\beta$ and $\mu$ in turn, by golden-section search in brackets that
    shrink with each turn, for all coordinates at once. $\beta$ is restricted to [0.5, 32].

    Args:
        values: codes of the training images, float64, shape (n, J).

    Raises:
        DegenerateInputError: if a code is not finite, or a coordinate varies by no more than the
            rounding error of float32; the message gives its number.
    """
    require_finite("codes", values.isfinite().all(1))
    low, high = values.aminmax(dim=0)
    constant = high - low <= RELATIVE_ROUNDING * torch.maximum(low.abs(), high.abs())
    if bool(constant.any()):
        first = int(constant.nonzero()[0])
        raise DegenerateInputError(
            f"latent dimension {first} has the same value {float(low[first]):g} for all "
            f"{len(values)} training images ({int(constant.sum())} of {values.shape[1]} "
            "dimensions are constant), so no density can be fitted to it"
        )
    location = values.mean(0)
    log_shape = torch.full_like(location, sum(LOG_SHAPE_BOUNDS) / 2)
    for turn in range(ALTERNATIONS):
        share = BRACKET_SHRINKAGE**-turn / 2
        log_shape = best_log_shape(values, location, log_shape, share)
        location = best_location(values, location, log_shape, (high - low) * share)
    shape = log_shape.exp()
    moment = log_moment((values - location).abs().log(), shape)
    return GeneralisedGaussian(shape, location, ((log_shape + moment) / shape).exp())


def best_log_shape(values: Tensor, location: Tensor, centre: Tensor, share: float) -> Tensor:
    r"""The maximum-likelihood $\log\beta$ for a fixed $\mu$, shape (J,).

    Args:
        values: codes, shape (n, J).
        location: $\mu$, shape (J,).
        centre: centre of the bracket of $\log\beta$ that is searched, shape (J,).
        share: half the width of the bracket, as a fraction of the range of $\log\beta$.
    """
    log_distances = (values - location).abs().log()
    least, largest = LOG_SHAPE_BOUNDS

    def function(log_shape: Tensor) -> Tensor:
        return negative_log_likelihood(log_distances, log_shape.clamp(least, largest))

    return golden_section(function, centre, (largest - least) * share).clamp(least, largest)


def best_location(values: Tensor, centre: Tensor, log_shape: Tensor, reach: Tensor) -> Tensor:
    r"""The maximum-likelihood $\mu$ for a fixed $\beta$, within `reach` of `centre`: (J,)."""

    def function(location: Tensor) -> Tensor:
        return negative_log_likelihood((values - location).abs().log(), log_shape)

    return golden_section(function, centre, reach)


def negative_log_likelihood(log_distances: Tensor, log_shape: Tensor) -> Tensor:
    r"""Minus the mean log-likelihood at the best scale, in nats, shape (J,).

    Args:
        log_distances: $\log |z - \mu|$, shape (n, J).
        log_shape: $\log\beta$, shape (J,).
    """
    shape = log_shape.exp()
    log_scale = (log_shape + log_moment(log_distances, shape)) / shape
    return log_scale + 1 / shape + (1 / shape).lgamma() + math.log(2) - log_shape


def log_moment(log_distances: Tensor, shape: Tensor) -> Tensor:
    r"""$\log \frac1n \sum_i |z_i - \mu|^\beta$ without overflow, shape (J,).

    Args:
        log_distances: $\log |z - \mu|$, shape (n, J).
        shape: $\beta$, shape (J,).
    """
    largest = log_distances.amax(0)
    return shape * largest + ((log_distances - largest) * shape).exp().mean(0).log()


def golden_section(
    function: Callable[[Tensor], Tensor], centre: Tensor, reach: Tensor | float
) -> Tensor:
    """The minimum of a function within `reach` of `centre`, for each of J coordinates: (J,).

    Golden-section search: `SECTION_STEPS` steps shrink a bracket to 0.06 of its width. If there
    are several minima, it finds one of them.

    Args:
        function: a function from shape (J,) to shape (J,) that acts on each coordinate separately.
        centre: the centres of the brackets, shape (J,).
        reach: half the widths of the brackets.
    """
    low, high = centre - reach, centre + reach
    left, right = high - GOLDEN_RATIO * (high - low), low + GOLDEN_RATIO * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(SECTION_STEPS):
        lower = at_left < at_right
        low, high = torch.where(lower, low, left), torch.where(lower, right, high)
        step = GOLDEN_RATIO * (high - low)
        new = torch.where(lower, high - step, low + step)
        value = function(new)
        left, right = torch.where(lower, new, right), torch.where(lower, left, new)
        at_left, at_right = (
            torch.where(lower, value, at_right),
            torch.where(lower, at_left, value),
        )
    return torch.where(at_left < at_right, left, right)


class Histogram(NamedTuple):
    """A density of distances that is constant within each of several bins of equal width.

    Attributes:
        ends: the lower edge of the first bin and the upper edge of the last, shape (2,), float64.
        density: the density of each bin per unit of distance, shape (bins,), float64.
    """

    ends: Tensor
    density: Tensor

    def log_density(self, distances: Tensor) -> Tensor:
        """The log-density of distances >= 0: shape (batch,), in nats, at least -708.4.

        As in the official code, the density falls linearly from the first bin to 0 at distance 0,
        and it is 0 beyond the last bin. A density below the least normal float64 is replaced by
        that number. That of a distance that is NaN is the least.
        """
        (low, high), bins = self.ends, len(self.density)
        position = ((distances - low) / (high - low) * bins).floor()
        nearest = position.clamp(0, bins - 1).nan_to_num(0)  # NaN is no index
        of_nearest_bin = self.density[nearest.long()]
        decay = torch.where(distances < low, distances / low, 1.0)
        density = of_nearest_bin * decay * (position < bins)
        raised: Tensor = density.clamp(min=LEAST_DENSITY)
        return raised.log()


def fitted_histogram(distances: Tensor, bins: int) -> Histogram:
    """The histogram of distances between their minimum and their maximum.

    Its upper edge is larger than the maximum by a relative 2^-17. The rounding error of a residual
    depends on the other images in the batch, and the largest residual must not fall outside.

    Args:
        distances: norms of the residuals of the training images, float64, shape (n,).
        bins: number of bins.

    Raises:
        DegenerateInputError: if all distances are equal, or one is not finite.
    """
    require_finite("residuals", distances.isfinite())
    low, high = distances.aminmax()
    upper = high * (1 + RELATIVE_ROUNDING)
    if bool(high - low <= RELATIVE_ROUNDING * high):
        raise DegenerateInputError(
            f"the residuals of all {len(distances)} training images have the same norm "
            f"{float(high):g}, so no histogram can be fitted to them"
        )
    counts = torch.histc(distances, bins, float(low), float(upper))
    return Histogram(torch.stack((low, upper)), counts / (len(distances) * (upper - low) / bins))

"""The shallow detectors give scikit-learn's numbers and those of their formulas."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn import ensemble
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold
from sklearn.neighbors import KernelDensity
from sklearn.svm import OneClassSVM
from threadpoolctl import threadpool_info

from tests.detectors.cases import (
    COLOUR,
    GREY,
    IMAGES,
    module_of,
    pixels,
    replica_set_of,
    same,
    small,
)
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.shallow import base
from tune_ad.detectors.shallow.base import pixel_rows, principal_components
from tune_ad.detectors.shallow.isolation_forest import IsolationForest
from tune_ad.detectors.shallow.kde import (
    BANDWIDTHS,
    CV_FOLDS,
    KDE,
    best_bandwidth,
    log_likelihoods,
)
from tune_ad.detectors.shallow.ocsvm import OCSVM
from tune_ad.errors import DegenerateInputError, UserError

SHALLOW = (OCSVM, IsolationForest, KDE)
TRAINING, OTHERS = pixels(GREY, 60) / 255, pixels(GREY, 30, seed=6) / 255
each_shallow = pytest.mark.parametrize("detector", SHALLOW)


def fitted(detector, training=TRAINING, seed=3, **settings):
    shape = ImageShape(*training.shape[1:])
    module = detector(detector.Config.released(shape, **settings), shape)
    assert module.finish(iter(training.split(13)), seed) == {}
    return module


def scores(module, images=OTHERS):
    return module.score(images, {})


def points(*values, dimensions=1):
    """Images of one row whose pixels are the coordinates of points."""
    return torch.from_numpy(np.array(values, float)).reshape(-1, 1, 1, dimensions)


def flat(images):
    return images.reshape(len(images), -1).double().numpy()


def matches(actual, expected, rtol=1e-12):
    assert actual.dtype == torch.float64
    np.testing.assert_allclose(actual.numpy(), expected, rtol=rtol, atol=1e-12)


# ------------------------------------------------------------------------- scikit-learn's numbers


@pytest.mark.parametrize("gamma", ["scale", 0.25, 2])
@pytest.mark.parametrize("nu", [0.1, 0.5])
def test_ocsvm_is_scikit_learns(gamma, nu):
    module = fitted(OCSVM, gamma=gamma, nu=nu, components=1.0)
    theirs = OneClassSVM(kernel="rbf", gamma=gamma, nu=nu).fit(flat(TRAINING))
    matches(scores(module), -theirs.decision_function(flat(OTHERS)))


def test_ocsvm_on_principal_components_is_scikit_learns():
    pca = PCA(0.8, svd_solver="full").fit(flat(TRAINING))
    theirs = OneClassSVM(nu=0.2).fit(pca.transform(flat(TRAINING)))
    module = fitted(OCSVM, nu=0.2, components=0.8)
    matches(scores(module), -theirs.decision_function(pca.transform(flat(OTHERS))), rtol=1e-6)


@pytest.mark.parametrize(("trees", "samples"), [(100, 256), (7, 16)])
def test_the_forest_is_scikit_learns(trees, samples):
    module = fitted(IsolationForest, trees=trees, samples=samples, components=1.0)
    assert module.projection is None
    theirs = ensemble.IsolationForest(
        n_estimators=trees, max_samples=min(samples, len(TRAINING)), random_state=3
    ).fit(flat(TRAINING))
    matches(scores(module), -theirs.score_samples(flat(OTHERS)))


def test_kde_is_scikit_learns():
    module = fitted(KDE, bandwidth=0.5, components=1.0)
    theirs = KernelDensity(bandwidth=0.5).fit(flat(TRAINING))
    matches(scores(module), -theirs.score_samples(flat(OTHERS)), rtol=1e-7)


# -------------------------------------------------------------------------------- the formulas


def test_ocsvm_is_its_dual_sum_within_its_range():
    module = fitted(OCSVM, gamma=0.25, nu=0.2, components=1.0)
    svm, training, others = module.estimator, flat(TRAINING), flat(OTHERS)
    alpha = np.zeros(len(training))
    alpha[svm.support_] = svm.dual_coef_[0]
    assert alpha.sum() == pytest.approx(0.2 * len(training))
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    kernel = np.exp(-0.25 * np.square(others[:, None] - training[None]).sum(2))
    rho = float(svm.offset_[0])
    dual_sums = scores(module)
    matches(dual_sums, rho - kernel @ alpha, rtol=1e-9)
    assert float(dual_sums.max()) <= rho
    assert float(dual_sums.min()) >= rho - 0.2 * len(training)


def test_ocsvm_lets_a_share_nu_of_the_training_images_outside():
    training = pixels(GREY, 400).float() / 255
    for nu in (0.1, 0.3):
        module = fitted(OCSVM, training, nu=nu)
        outside = (scores(module, training) > 1e-3).double().mean()
        assert float(outside) <= nu + 1e-9
        assert float(outside) > nu - 0.1
        assert len(module.estimator.support_) >= nu * len(training)


def test_ocsvm_ties_far_from_every_support_vector():
    module = fitted(OCSVM, gamma=1e6, components=1.0)
    assert bool((scores(module) == float(module.estimator.offset_[0])).all())


def test_forest_scores_lie_between_0_and_1_and_isolated_images_are_the_larger():
    module = fitted(IsolationForest)
    inside, outside = scores(module, TRAINING), scores(module, torch.ones(2, *GREY))
    assert 0 < float(inside.min()) <= float(inside.max()) <= 1
    assert float(outside.min()) > float(inside.max())


def test_a_forest_of_one_tree_has_few_scores():
    module = fitted(IsolationForest, trees=1, samples=2)
    values = scores(module)
    assert len(values.unique()) <= 2
    assert bool(values.isfinite().all())


@pytest.mark.parametrize("bandwidth", [0.1, 1, 3.5])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_density_around_one_point_is_the_gaussian(bandwidth, dimensions):
    centre, other = np.arange(1, dimensions + 1) / 4, np.arange(dimensions) * 0.7 - 0.3
    training = points(centre, centre + 1e9, dimensions=dimensions)  # the second is out of reach
    module = fitted(KDE, training, bandwidth=bandwidth, components=1.0)
    square = np.square(other - centre).sum() / bandwidth**2
    constant = dimensions / 2 * math.log(2 * math.pi) + dimensions * math.log(bandwidth)
    expected = square / 2 + constant + math.log(2)  # each point has half the mass
    matches(scores(module, points(other, dimensions=dimensions)), [expected], rtol=1e-9)


def test_the_density_of_several_points_is_their_mean():
    centres, x, h = np.array([-1.0, 0.5, 2.0]), 0.3, 0.8
    densities = np.exp(-np.square(x - centres) / (2 * h * h)) / math.sqrt(2 * math.pi * h * h)
    module = fitted(KDE, points(*centres), bandwidth=h, components=1.0)
    matches(scores(module, points(x)), [-math.log(densities.mean())], rtol=1e-9)


def test_a_density_integrates_to_one():
    module = fitted(KDE, points(0.1, 0.2, 0.9), bandwidth=0.1, components=1.0)
    grid = torch.linspace(-2, 3, 5001, dtype=torch.float64)
    density = (-scores(module, points(*grid.tolist()))).exp()
    assert float(torch.trapezoid(density, grid)) == pytest.approx(1, abs=1e-9)


def test_scores_far_from_all_images_stay_finite_and_ordered():
    module = fitted(KDE, points(0.1, 0.2, 0.9), bandwidth=1e-3, components=1.0)
    values = scores(module, points(2.0, 10.0, 1e6))
    assert bool(values.isfinite().all())
    assert values.tolist() == sorted(values.tolist())


# ------------------------------------------------------------------ the choice of the bandwidth


def test_the_bandwidths_are_half_powers_of_two():
    assert np.log2(BANDWIDTHS).tolist() == pytest.approx([k / 2 for k in range(-9, 11)])


@pytest.mark.parametrize("count", [5, 23, 60])
def test_likelihoods_are_those_of_refitted_densities(count):
    features = flat(TRAINING)[:count, :7]
    expected = []
    for h in BANDWIDTHS:
        total = 0.0
        for keep, held in KFold(CV_FOLDS).split(features):
            squares = np.square(features[held][:, None] - features[keep][None]).sum(2)
            norm = math.log(len(keep)) + 7 / 2 * math.log(2 * math.pi * h * h)
            total += (logsumexp(-squares / (2 * h * h), axis=1) - norm).sum()
            one = KernelDensity(bandwidth=h).fit(features[keep])
            assert one.score(features[held]) == pytest.approx(
                (logsumexp(-squares / (2 * h * h), axis=1) - norm).sum(), rel=1e-6
            )
        expected.append(total)
    np.testing.assert_allclose(log_likelihoods(features, BANDWIDTHS), expected, rtol=1e-9)
    assert best_bandwidth(features) == BANDWIDTHS[int(np.argmax(expected))]


@pytest.mark.parametrize("spread", [0.3, 1.0, 20.0])
@pytest.mark.slow
def test_the_bandwidth_follows_the_spread_of_the_images(spread):
    stream = np.random.default_rng(0)
    features = stream.normal(size=(2000, 1)) * spread
    # Silverman's rule for a Gaussian, which minimises the integrated squared error.
    rule = spread * (4 / (3 * len(features))) ** 0.2
    assert 0.5 < best_bandwidth(features) / rule < 2


def test_the_bandwidth_is_chosen_on_a_seeded_draw_of_the_training_images():
    class Drawing(KDE):
        """Remembers what chose the bandwidth."""

        def cv_sample(self, features, seed):
            self.seen = super().cv_sample(features, seed)
            return self.seen

    def seen(seed, cv_images):
        return fitted(Drawing, seed=seed, cv_images=cv_images, components=1.0).seen

    ours = seen(3, 20)
    assert ours.shape == (20, 64)
    training = {row.tobytes() for row in flat(TRAINING)}
    assert len({row.tobytes() for row in ours} & training) == 20
    assert np.array_equal(ours, seen(3, 20))
    assert not np.array_equal(ours, seen(4, 20))
    everything = seen(3, 1000)
    assert {row.tobytes() for row in everything} == training
    assert not np.array_equal(everything, flat(TRAINING)), "the folds are shuffled"


def test_a_bandwidth_needs_as_many_images_as_folds():
    with pytest.raises(
        DegenerateInputError, match="5-fold cross-validation, but there are only 4"
    ):
        fitted(KDE, TRAINING[:4])
    assert fitted(KDE, TRAINING[:5]).estimator.bandwidth in BANDWIDTHS
    assert fitted(KDE, TRAINING[:4], bandwidth=0.5).estimator.bandwidth == 0.5


# -------------------------------------------------------------------------- principal components


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("count", [20, 300])
def test_the_fewest_components_that_keep_the_share_of_the_variance(share, count):
    training = flat(pixels(GREY, count))
    kept = principal_components(training, share)
    values = np.linalg.eigvalsh(np.cov(training.T))[::-1]
    shares = values.cumsum() / values.sum()
    d = kept.n_components_
    assert shares[d - 1] >= share
    assert d == 1 or shares[d - 2] < share
    projected = kept.transform(training)
    np.testing.assert_allclose(projected.var(0, ddof=1), values[:d], rtol=1e-9)
    assert projected.var(0).sum() / training.var(0).sum() == pytest.approx(shares[d - 1])


def test_a_share_of_one_leaves_the_pixels():
    assert principal_components(flat(TRAINING), 1.0) is None
    assert principal_components(flat(TRAINING), 1) is None


@pytest.fixture
def large(monkeypatch):
    """Images of the tests count as large; a decomposition begins with few components."""
    monkeypatch.setattr(base, "EXACT_PIXELS", 100)
    monkeypatch.setattr(base, "EXACT_IMAGES", 100)
    monkeypatch.setattr(base, "FIRST_COMPONENTS", 4)


def falling(images=300, dimensions=192, rate=0.9):
    """Rows whose components have variances that fall geometrically."""
    stream = np.random.default_rng(1)
    basis = np.linalg.qr(stream.normal(size=(dimensions, dimensions)))[0]
    return stream.normal(size=(images, dimensions)) * rate ** np.arange(dimensions) @ basis + 3


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("images", [150, 300])
def test_components_of_large_images_are_nearly_the_exact_ones(large, share, images):
    training = falling(images)
    exact, kept = (
        PCA(share, svd_solver="full").fit(training),
        principal_components(training, share),
    )
    assert share <= kept.explained_variance_ratio_.sum()
    assert exact.n_components_ <= kept.n_components_ <= exact.n_components_ + 1
    projected = kept.transform(training)
    assert projected.shape == (images, kept.n_components_)
    shares = projected.var(0).sum() / training.var(0).sum()
    assert shares == pytest.approx(kept.explained_variance_ratio_.sum(), abs=1e-6)
    np.testing.assert_allclose(
        kept.components_ @ kept.components_.T, np.eye(kept.n_components_), atol=1e-10
    )


def test_components_of_large_images_depend_on_the_seed_alone(large):
    training = falling()
    ones = [
        principal_components(training, 0.9, seed).components_ for seed in (3, 3, (1 << 63) - 1)
    ]
    assert np.array_equal(ones[0], ones[1])
    assert not np.array_equal(ones[0], ones[2])


def test_noise_that_needs_most_components_is_decomposed_exactly_and_at_once(large, monkeypatch):
    noise, counts = np.random.default_rng(0).normal(size=(300, 192)), []

    class Counting(PCA):
        def fit(self, rows):
            counts.append(self.n_components)
            return super().fit(rows)

    monkeypatch.setattr("sklearn.decomposition.PCA", Counting)
    kept = principal_components(noise, 0.95)
    exact = PCA(0.95, svd_solver="covariance_eigh").fit(noise)
    assert np.array_equal(kept.components_, exact.components_)
    assert counts == [4, 0.95]


def test_a_share_beyond_rounding_is_decomposed_exactly(large):
    few = falling(dimensions=192, rate=0.01)  # a few components are all there is
    share = 1 - 1e-16
    assert principal_components(few, share).explained_variance_ratio_.sum() == pytest.approx(1)


@pytest.mark.parametrize("images", [150, 300])
def test_components_of_other_images_are_the_exact_ones_to_the_last_bit(images):
    training = falling(images)
    solver = "covariance_eigh" if images > 192 else "full"
    exact = PCA(0.9, svd_solver=solver).fit(training)
    assert np.array_equal(principal_components(training, 0.9, 7).components_, exact.components_)
    assert base.EXACT_PIXELS >= 3 * 32 * 32


@each_shallow
def test_components_are_of_the_training_images_alone(detector):
    module = fitted(detector, components=0.9)
    before = module.projection.components_.copy()
    scores(module, 1 - OTHERS)
    assert np.array_equal(module.projection.components_, before)
    np.testing.assert_allclose(module.projection.mean_, flat(TRAINING).mean(0), rtol=1e-12)


# ----------------------------------------------------------------------- seeds, states, refusals


@pytest.mark.parametrize(
    ("detector", "draws"), [(IsolationForest, True), (OCSVM, False), (KDE, False)]
)
def test_the_same_seed_gives_the_same_scores_and_another_another_forest(detector, draws):
    settings = {"bandwidth": 0.5} if detector is KDE else {}
    first, again, other = (
        scores(fitted(detector, seed=seed, **settings)) for seed in (3, 3, (1 << 63) - 1)
    )
    assert torch.equal(first, again)
    assert torch.equal(first, other) != draws


@each_shallow
def test_fitting_draws_from_no_global_stream(detector):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    torch_state = torch.get_rng_state()
    fitted(detector)
    assert np.array_equal(np.random.get_state()[1], before)
    assert torch.equal(torch.get_rng_state(), torch_state)


@each_shallow
@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_fitted_again_after_loading_the_scores_are_bit_equal(detector, shape, tmp_path):
    first, second = (replica_set_of(detector, small(detector, shape), shape) for _ in range(2))
    first.prepare_scoring()
    assert dict(module_of(first).state_dict()) == {}
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    everything = torch.arange(IMAGES)
    assert same(first.score(0, everything), second.score(0, everything))
    assert module_of(first).estimator is not module_of(second).estimator


@each_shallow
def test_nothing_is_scored_before_something_is_fitted(detector):
    module = detector(detector.Config.released(GREY), GREY)
    with pytest.raises(
        UserError,
        match=f"{detector.__name__} has not been fitted.*call ReplicaSet.prepare_scoring",
    ):
        scores(module)


@each_shallow
@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (TRAINING[:1].repeat(9, 1, 1, 1), "all 9 training images are identical"),
        (TRAINING[:1], "all 1 training images are identical"),
        (TRAINING[:0], "there is no training image"),
        (TRAINING.masked_fill(TRAINING == TRAINING.max(), math.nan), "NaN or infinite pixel"),
        (TRAINING.masked_fill(TRAINING == TRAINING.max(), math.inf), "NaN or infinite pixel"),
    ],
    ids=["identical", "one", "none", "nan", "infinite"],
)
def test_what_cannot_be_fitted_is_refused_in_a_sentence(detector, images, reason):
    with pytest.raises(DegenerateInputError, match=reason) as error:
        fitted(detector, images)
    assert "\n" not in str(error.value)


@each_shallow
def test_a_replica_without_contrast_fails_and_says_why(detector, monkeypatch):
    monkeypatch.setattr(
        "tests.detectors.cases.pixels", lambda shape: pixels(shape, 1).expand(IMAGES, *shape)
    )
    replica_set = replica_set_of(detector, small(detector, GREY), GREY)
    replica_set.prepare_scoring()
    assert "identical" in replica_set.failures[0].reason


@each_shallow
@pytest.mark.parametrize("constant", range(3))
def test_constant_pixels_and_repeated_images_do_no_harm(detector, constant):
    training = TRAINING.clone()
    training[:, :, : constant * 4] = 0.5
    training[10:20] = training[:10]
    if constant == 2:
        training[0] = 0  # all the contrast there is
    assert bool(scores(fitted(detector, training)).isfinite().all())


def test_pixels_become_rows_whatever_their_layout():
    images = (pixels(COLOUR, 4) / 255).to(memory_format=torch.channels_last)
    assert np.array_equal(pixel_rows(images), images.contiguous().flatten(1).double().numpy())
    assert pixel_rows(images.requires_grad_()).dtype == np.float64


@pytest.mark.slow
def test_scikit_learn_is_loaded_when_something_is_fitted():
    names = ("ocsvm", "isolation_forest", "kde")
    modules = ", ".join(f"tune_ad.detectors.shallow.{name}" for name in names)
    code = f"import sys, {modules}; print('sklearn' in sys.modules, 'scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("number", [1, 2])
def test_the_libraries_below_use_as_many_threads_as_pytorch(number):
    used, before = [], [pool["num_threads"] for pool in threadpool_info()]

    class Watched(KDE):
        def fit_estimator(self, features, seed):
            used.append({pool["num_threads"] for pool in threadpool_info()})
            return super().fit_estimator(features, seed)

        def score_features(self, features):
            used.append({pool["num_threads"] for pool in threadpool_info()})
            return super().score_features(features)

    of_pytorch = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        scores(fitted(Watched, bandwidth=1.0))
    finally:
        torch.set_num_threads(of_pytorch)
    assert used == [{number}, {number}]
    assert [pool["num_threads"] for pool in threadpool_info()] == before

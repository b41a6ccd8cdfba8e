"""A detector of this project as an estimator with the conventions of scikit-learn and PyOD."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tune_ad.atomic import replaced
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import Detector
from tune_ad.detectors.config import Config, NetworkConfig
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.local_paths import local_path
from tune_ad.models.conformal import Scores, Threshold, p_values
from tune_ad.models.folder import ModelFolder
from tune_ad.models.from_arrays.fitting import Fitted, Recipe, Wish, fit
from tune_ad.models.from_arrays.levels import ROWS, Array, shape_of
from tune_ad.models.writing import write_fitted
from tune_ad.randomness import derived_seed, numpy_stream
from tune_ad.search.own_detector import find_detector
from tune_ad.storage.kept_models import DESCRIPTION

TASK = "images"
"""The name of the task in a folder that an estimator has written."""
MOST_SEEDS, LARGEST_SEED = 1000, 2**31
DEVICES = ("auto", "cpu", "cuda")
Labels = NDArray[np.int64]


class AnomalyDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    r"""An anomaly detector that is fitted to arrays of normal images.

    `fit` trains one model for each seed on normal images, and keeps a share of these images back.
    The scores of the models are standardised by training images and averaged. The threshold is
    the smallest for which at most a share `false_alarms` of normal images exceed it, on average
    over such held-out images; this conformal guarantee needs no assumption on the detector, but
    that new normal images come from the same distribution, and at least 1 / `false_alarms` - 1
    held-out images. With fewer, `fit` warns.

    The sign of a score depends on the method:

    - `anomaly_scores`, `p_values` and the attributes of PyOD's detectors: a larger score (and a
      smaller p-value) is more anomalous; labels are 1 for anomalous, 0 for normal.
    - the methods of scikit-learn, `score_samples` and `decision_function`: larger is more normal;
      `predict` returns 1 for normal, -1 for anomalous.

    X holds rows (n, d), grey images (n, h, w), or images (n, h, w, c) with 1 or 3 channels. Its
    values are grey levels from 0 to 255 if they are uint8, otherwise numbers in [0, 1]. If the
    training data leave [0, 1], values are mapped to it from the minimum and the maximum of the
    training data: of each column for rows without an `image_shape`, otherwise of all pixels. They
    are not rounded, and new ones are not cut, except for `LikelihoodVAE`, which models 8-bit
    pixels and gets 256 levels. Networks need images: rows with an `image_shape` (row by row,
    channels last), or arrays of images.

    Args:
        detector: the name of a detector, such as "VAE" or "IsolationForest", "module:Class" or
            "file.py:Class" of one's own, or the class itself.
        params: hyperparameters by name, which override the published ones. Of rows without an
            `image_shape` the default of `scaling` is "unit", because the others treat a row as
            one picture.
        image_shape: (height, width) or (height, width, channels) of the images; None: that of X.
        seeds: number of models, in [1, 1000].
        epochs: number of epochs of the main stage; None: as published. Only for networks.
        false_alarms: the wished rate of false alarms, in (0, 1).
        calibration: share of the images given to `fit` that is kept back for the threshold and
            the p-values, in (0, 1); at least one image is.
        random_state: seed of all random draws: an integer, a `numpy.random.RandomState`, or None
            for a new one at each fit.
        device: where the networks are trained: "cpu", "cuda", or "auto": "cuda" if there is a
            GPU. Scores are computed on the CPU.

    Attributes:
        model_: the models.
        threshold_: the largest anomaly score that raises no alarm.
        offset_: minus the threshold; `decision_function` is `score_samples` - `offset_`.
        limit_: the threshold with its guaranteed rate of false alarms and its interval.
        decision_scores_: the anomaly scores of the images given to `fit`, shape (n,); those that
            were trained on are lower than those of new normal images.
        labels_: 1 for those with a score above the threshold, otherwise 0.
        n_features_in_: number of values of an image.

    A loaded estimator lacks the two attributes of the images given to `fit`.

    Errors are ValueErrors of one line, as scikit-learn's; those of `load` and `save` are
    UserErrors.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> detector = AnomalyDetector("IsolationForest").fit(X)
    >>> detector.predict([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]).tolist()
    [1, -1]
    """

    def __init__(  # noqa: PLR0913 - scikit-learn's convention: one argument per parameter
        self,
        detector: str | type[Detector[Any]] = "VAE",
        *,
        params: Mapping[str, Any] | None = None,
        image_shape: Sequence[int] | None = None,
        seeds: int = 1,
        epochs: int | None = None,
        false_alarms: float = 0.05,
        calibration: float = 0.2,
        random_state: Any = 0,  # noqa: ANN401 - as scikit-learn's
        device: str = "cpu",
    ) -> None:
        self.detector = detector
        self.params = params
        self.image_shape = image_shape
        self.seeds = seeds
        self.epochs = epochs
        self.false_alarms = false_alarms
        self.calibration = calibration
        self.random_state = random_state
        self.device = device

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Train the models on normal images, and set the threshold by those kept back.

        Args:
            X: normal images, n >= 2.
            y: ignored, as by scikit-learn's outlier detectors.

        Raises:
            ValueError: if a parameter or X is invalid, or a model cannot be trained on X.
        """
        with _value_errors():
            self.__dict__.pop("model_", None)
            values = self._checked(X, is_new=True)
            recipe, wish = self._plan(values)
            self.model_ = fit(recipe, values, wish)
            scores = self.model_.scores(values)
        self._set_threshold(self.model_.limit)
        if self.model_.shortfall:
            warnings.warn(self.model_.shortfall, stacklevel=2)
        self.decision_scores_ = scores
        self.labels_: Labels = (scores > self.threshold_).astype(np.int64)
        return self

    def anomaly_scores(self, X: ArrayLike) -> Scores:
        """The anomaly score of each image, shape (n,): larger = more anomalous, without a unit."""
        check_is_fitted(self, "model_")
        with _value_errors():
            model: Fitted = self.model_
            return model.scores(self._checked(X, is_new=False))

    def p_values(self, X: ArrayLike) -> Scores:
        """The conformal p-value of each image, shape (n,), in (0, 1]: smaller = more anomalous.

        It is the share of held-out normal images, the image itself included, that score at least
        as high. A normal image has a p-value of at most a with a probability of at most a.

        Raises:
            ValueError: if a loaded model has no threshold.
        """
        scores = self.anomaly_scores(X)
        self._require_threshold()
        return p_values(self.model_.calibration, scores)

    def score_samples(self, X: ArrayLike) -> Scores:
        """Minus the anomaly score of each image, shape (n,): larger = more normal."""
        return -self.anomaly_scores(X)

    def decision_function(self, X: ArrayLike) -> Scores:
        """The threshold minus the anomaly score, shape (n,): negative = anomalous.

        Raises:
            ValueError: if a loaded model has no threshold.
        """
        samples = self.score_samples(X)
        self._require_threshold()
        decisions: Scores = samples - self.offset_
        return decisions

    def predict(self, X: ArrayLike) -> Labels:
        """1 for each normal image, -1 for each anomalous one, shape (n,).

        Raises:
            ValueError: if a loaded model has no threshold.
        """
        return np.where(self.decision_function(X) < 0, -1, 1).astype(np.int64)

    def save(self, path: str | Path) -> Path:
        """Write the models, the threshold and a model card into a folder, and return its path.

        `load` reads it again. It replaces an earlier kept model of the same path.

        Raises:
            UserError: if `path` exists and is no kept model.
        """
        check_is_fitted(self, "model_")
        folder = local_path(path)
        if folder.exists() and not (folder / DESCRIPTION).is_file():
            raise UserError(f"{folder} exists and is no kept model; choose a new folder")
        with replaced(folder.absolute()) as unfinished:
            write_fitted(unfinished, self.model_, self.device)
        return folder

    @classmethod
    def load(cls, path: str | Path, normal: str | None = None) -> Self:
        """The fitted estimator of a kept model, which scores as the model does.

        Args:
            path: the folder `best` of a study, or one that `save` has written.
            normal: the name of the normal class; None if there is only one.

        Raises:
            UserError: if there is no such model, it is damaged, or the class is unknown. A file
                that ends in `.joblib`, or lies in `code/`, runs code when it is read: only load
                models from people whom you trust.
        """
        folder = ModelFolder(Path(path))
        task = folder.task(normal)
        model = Fitted.read(folder, task)
        detector, shape = model.recipe.detector, model.recipe.shape
        is_known = every_detector().get(detector.__name__) is detector
        sides = (shape.height, shape.width, *([3] if shape.is_colour else []))
        estimator = cls(
            detector.__name__ if is_known else folder.reference,
            params=dict(folder.description.config),
            image_shape=None if model.levels.by_column else sides,
            seeds=len(task.members),
        )
        if model.limit is not None:
            estimator.set_params(false_alarms=model.limit.wished)
        estimator.model_ = model
        estimator.n_features_in_ = math.prod(shape)
        estimator._set_threshold(model.limit)
        return estimator

    def _set_threshold(self, limit: Threshold | None) -> None:
        self.limit_ = limit
        self.threshold_ = math.nan if limit is None else limit.value
        self.offset_ = -self.threshold_

    def _require_threshold(self) -> None:
        """Check that there is a threshold.

        Raises:
            ValueError: if there is none.
        """
        if self.limit_ is None:
            raise ValueError(
                "this model has no threshold and no p-values, because its configuration was "
                "selected by the test images; use anomaly_scores"
            )

    def _checked(self, X: ArrayLike, is_new: bool) -> Array:
        """X as a numeric array without NaN, of the same number of values per image as in `fit`.

        Args:
            X: rows or images.
            is_new: whether it is given to `fit`.
        """
        least = 2 if is_new else 1
        axes = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
        if axes <= ROWS:
            values: Array = validate_data(self, X, reset=is_new, ensure_min_samples=least)
            return values
        values = check_array(X, allow_nd=True, ensure_min_samples=least)
        if is_new:
            self.n_features_in_ = math.prod(values.shape[1:])
        return values

    def _plan(self, values: Array) -> tuple[Recipe, Wish]:
        """What is trained on an array of images, and how.

        Raises:
            UserError: if a parameter or the array is invalid.
        """
        shape = shape_of(values, self.image_shape)
        are_rows = values.ndim == ROWS and self.image_shape is None
        detector = _named(self.detector)
        if are_rows and issubclass(detector.Config, NetworkConfig):
            raise UserError(
                f"{detector.__name__} trains networks on images, and X has rows; give "
                "image_shape=(height, width), or take a detector that is only fitted: "
                f"{', '.join(_fitted_detectors())}"
            )
        seeds, state = self.seeds, self.random_state
        if not (isinstance(seeds, int | np.integer) and 1 <= seeds <= MOST_SEEDS):
            raise UserError(f"seeds must be an integer in [1, {MOST_SEEDS}], got {seeds!r}")
        share = _share("calibration", self.calibration)
        if not isinstance(state, int | np.integer):
            state = check_random_state(state).randint(LARGEST_SEED)
        order = numpy_stream(int(state), "calibration").permutation(len(values))
        count = min(len(values) - 1, max(1, round(share * len(values))))
        wish = Wish(
            seeds=tuple(derived_seed(int(state), "model", k) % LARGEST_SEED for k in range(seeds)),
            held_out=np.sort(order[:count]),
            by_column=are_rows,
            false_alarms=_share("false_alarms", self.false_alarms),
            device=_resolved(self.device),
        )
        return Recipe(detector, self._config(detector, shape, are_rows), shape, TASK), wish

    def _config(self, detector: type[Detector[Any]], shape: ImageShape, are_rows: bool) -> Config:
        """The configuration, with the published values of what the user has not given.

        Raises:
            UserError: if a hyperparameter is unknown, illegal, or given twice.
        """
        settings = dict(self.params or {})
        if self.epochs is not None:
            if not issubclass(detector.Config, NetworkConfig):
                raise UserError(
                    f"{detector.__name__} is fitted, not trained in epochs; leave out "
                    f"epochs={self.epochs}"
                )
            if settings.get("epochs", self.epochs) != self.epochs:
                raise UserError(
                    f"epochs={self.epochs} contradicts params['epochs']={settings['epochs']}; "
                    "leave one of them out"
                )
            settings["epochs"] = self.epochs
        if are_rows:
            settings = {"scaling": "unit", **settings}
        return detector.Config.released(shape, **settings)


@contextmanager
def _value_errors() -> Iterator[None]:
    """Raise the project's errors as those that scikit-learn expects."""
    try:
        yield
    except UserError as error:
        raise ValueError(str(error)) from error


def _share(name: str, value: object) -> float:
    """A parameter that is a share of images.

    Raises:
        UserError: unless it is a number in (0, 1).
    """
    if not (isinstance(value, Real) and 0 < float(value) < 1):
        raise UserError(f"{name} must be a number in (0, 1), got {value!r}")
    return float(value)


def _named(detector: str | type[Detector[Any]]) -> type[Detector[Any]]:
    """The class of a detector that is given by its name or class.

    Raises:
        UserError: if there is none of that name.
    """
    if isinstance(detector, type) and issubclass(detector, Detector):
        return detector
    if not isinstance(detector, str):
        raise UserError(f"detector must be the name of a detector or its class, got {detector!r}")
    return find_detector(detector)


def _fitted_detectors() -> list[str]:
    """The names of the detectors without networks."""
    return [
        name for name, d in every_detector().items() if not issubclass(d.Config, NetworkConfig)
    ]


def _resolved(device: str) -> str:
    """The device on which to train: "cpu" or "cuda".

    Raises:
        UserError: if it is unknown or not there.
    """
    if device not in DEVICES:
        raise UserError(f"device must be one of {', '.join(DEVICES)}, got {device!r}")
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise UserError("device is 'cuda', but PyTorch finds no GPU; use 'cpu' or 'auto'")
    return ("cuda" if has_gpu else "cpu") if device == "auto" else device

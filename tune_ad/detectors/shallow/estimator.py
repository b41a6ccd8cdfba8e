"""Outlier detectors of scikit-learn, of PyOD and of that style, as detectors of this project."""

import inspect
import math
import pickle
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tune_ad.detectors.config import Rule
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.shallow.base import SKLEARN_SEEDS, Rows, ShallowConfig, ShallowDetector
from tune_ad.errors import DegenerateInputError, UserError
from tune_ad.extensions import named_object
from tune_ad.storage.earlier.later_parameters import LATER
from tune_ad.storage.metric import Metric
from tune_ad.wording import either

FEATURES: Mapping[str, float] = {"pca": 0.95, "pixels": 1.0}
"""The default of `components` by what the estimator gets."""
SIGNS: Mapping[str, int] = {"larger_is_normal": -1, "larger_is_anomalous": 1}
"""The factor that makes larger scores more anomalous."""
METHODS = ("score_samples", "decision_function")
SET_BY_THE_ENGINE: Mapping[str, Any] = {"novelty": True, "n_jobs": 1, "verbose": 0}
"""Parameters of a constructor that are not hyperparameters, and the values that they get."""
PLAIN = (bool, int, float, str, type(None))
PREFIX = "estimator_"
FEW = 8  # images that are scored together to find out whether that changes their scores
TOLERANCE = 1e-6  # of that comparison
NOT_ALONE = (
    "the score of an image depends on the images that are scored with it, so it is no property of "
    "the image alone, and AUROCs are not comparable with those of other detectors"
)


@dataclass(frozen=True)
class EstimatorConfig(ShallowConfig):
    """Hyperparameters of an estimator: `scaling`, `components`, and those of its constructor."""


class EstimatorDetector(ShallowDetector[EstimatorConfig]):
    """A detector that fits an estimator of another package; `Estimator` makes its subclasses.

    Some detectors of PyOD (ECOD, COPOD) rank an image among the images that are scored with it.
    Their models have a warning.

    Attributes:
        sign: the argument of `Estimator`.
        scoring: the method of the estimator that scores, and the factor of its values.
        names: the parameter of the constructor that each field of `Config` sets.
        given: values of the parameters that are not hyperparameters.
        preprocessing: transformers that are fitted to the features before the estimator.
        not_stored: these transformers as text, in the class of a kept model, which has them only
            as parts of its fitted estimators; otherwise empty.
    """

    sign: ClassVar[str]
    scoring: ClassVar[tuple[str, int]]
    names: ClassVar[Mapping[str, str]]
    given: ClassVar[Mapping[str, Any]]
    preprocessing: ClassVar[tuple[Any, ...]]
    not_stored: ClassVar[str]

    @classmethod
    def reference(cls) -> str:
        """The call by which a kept model finds the class again; "module:Class" for a subclass."""
        if not cls.is_made():
            return super().reference()
        return cls.call(f"{cls.constructor().__module__}:{cls.constructor().__qualname__}")

    @classmethod
    def is_made(cls) -> bool:
        """Whether the class is the result of a call of `Estimator`, and no subclass of one."""
        return cls in _MADE.values()

    @classmethod
    def call(cls, target: str) -> str:
        """The call of `Estimator`, with the preprocessing as text if there is any.

        Args:
            target: the text by which the class of the estimator is found.
        """
        steps = cls.not_stored or ", ".join(" ".join(repr(s).split()) for s in cls.preprocessing)
        arguments = ", ".join(map(repr, (target, "pca", cls.sign, *([steps] if steps else []))))
        return f"{__name__}:{Estimator.__name__}({arguments})"

    @classmethod
    @abstractmethod
    def constructor(cls) -> type[Any]:
        """The class of the estimator."""

    def __init__(self, config: EstimatorConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.scores_alone = True

    def warnings(self, numbers: Mapping[Metric, float]) -> list[str]:
        """Whether the score of an image depends on the images that are scored with it."""
        return [] if self.scores_alone else [NOT_ALONE]

    def fit_estimator(self, features: Rows, seed: int) -> Any:  # noqa: ANN401
        """The fitted estimator, after its preprocessing.

        Raises:
            DegenerateInputError: if a parameter is illegal, or the estimator cannot be fitted to
                the features; the message is the estimator's own.
            UserError: if the class is that of a kept model, whose preprocessing is not stored.
        """
        from sklearn.pipeline import make_pipeline

        if self.not_stored:
            raise UserError(no_new_fit(self.constructor().__name__, self.not_stored))
        config = self.config
        values = {theirs: getattr(config, ours) for ours, theirs in self.names.items()}
        seeds = {name: seed % SKLEARN_SEEDS for name, value in self.given.items() if value is None}
        try:
            estimator = self.constructor()(**values, **{**self.given, **seeds})
            if self.preprocessing:
                steps = [seeded(step, seed % SKLEARN_SEEDS) for step in self.preprocessing]
                estimator = make_pipeline(*steps, estimator)
            estimator.fit(features)
            alone, together = (self._scores(estimator, features[:n])[0] for n in (1, FEW))
        except ValueError as error:
            reason = (str(error).splitlines() or [""])[0]
            title = self.constructor().__name__
            raise DegenerateInputError(f"{title} cannot be fitted: {reason}") from error
        self.scores_alone = math.isclose(alone, together, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        return estimator

    def score_features(self, features: Rows) -> Rows:
        """The score of the estimator, larger = more anomalous, shape (n,)."""
        return self._scores(self.estimator, features)

    def _scores(self, estimator: Any, features: Rows) -> Rows:  # noqa: ANN401
        method, factor = self.scoring
        scores: Rows = factor * np.asarray(getattr(estimator, method)(features), np.float64)
        return scores


class Signature(NamedTuple):
    """The parameters of a constructor.

    Attributes:
        settable: the default of each parameter that is a hyperparameter.
        given: the value of each parameter that is none; None for a seed.
        left: the names of the parameters that keep their defaults.
    """

    settable: dict[str, Any]
    given: dict[str, Any]
    left: list[str]


def Estimator(  # noqa: N802
    target: str | type[Any],
    features: str = "pca",
    sign: str = "auto",
    preprocessing: Any = (),  # noqa: ANN401
) -> type[EstimatorDetector]:
    """A detector that fits an estimator to principal components or pixels.

    Its hyperparameters are `scaling`, `components` (as in `ShallowConfig`; 1 = pixels) and the
    parameters of the estimator's constructor whose defaults are numbers, texts, True, False or
    None; the others keep their defaults. A name that the project uses in another sense, such as
    `epochs` or `batch_size`, is preceded by "estimator_". Any such value is legal here, since the
    estimator checks it when it is fitted. `random_state` is the seed of the replica, `n_jobs` is
    1, `verbose` is 0, and `novelty`, which `LocalOutlierFactor` needs to score new images, is
    True.

    The sign of the score follows from the class. Outlier detectors of scikit-learn
    (`OutlierMixin`) have larger values for normal images: the score is minus `score_samples`, or
    minus `decision_function`. Those of PyOD have larger values for anomalous images: the score is
    `decision_function`. For any other class, `sign` must say which it is.

    Args:
        target: the class of the estimator, or its name, as in "pyod.models.ecod:ECOD".
        features: what the estimator gets by default, "pca" (components that explain 95 % of the
            variance) or "pixels".
        sign: "larger_is_normal", "larger_is_anomalous", or "auto".
        preprocessing: a transformer of scikit-learn, such as a pipeline, or a list of them; they
            are fitted to the features of the training images.

    Returns:
        the class of the detector: the same one for equal arguments.

    Raises:
        UserError: if there is no such class, its package is not installed, an argument is not
            legal, or the sign is not known.
    """
    estimator = _checked(target, features, sign)
    steps = tuple(preprocessing) if isinstance(preprocessing, Sequence) else (preprocessing,)
    key = (estimator, features, sign, _content(steps))
    if key not in _MADE:
        _MADE[key] = _detector(estimator, features, sign, steps)
    return _MADE[key]


def of_kept_model(
    target: str | type[Any], features: str, sign: str, not_stored: str
) -> type[EstimatorDetector]:
    """The detector of a kept model with preprocessing: it scores, but cannot be fitted anew.

    Args:
        target: as in `Estimator`.
        features: as in `Estimator`.
        sign: as in `Estimator`.
        not_stored: the preprocessing as text.

    Raises:
        UserError: as in `Estimator`.
    """
    estimator = _checked(target, features, sign)
    key = (estimator, features, sign, not_stored)
    if key not in _MADE:
        _MADE[key] = _detector(estimator, features, sign, (), not_stored)
    return _MADE[key]


def no_new_fit(estimator: str, not_stored: str) -> str:
    """Why the detector of a kept model with preprocessing cannot be fitted anew, and the remedy.

    Args:
        estimator: the name of the estimator.
        not_stored: the preprocessing as text.
    """
    return (
        f"{estimator} of a kept model cannot be fitted anew, because its preprocessing is stored "
        f"only as fitted; give the class Estimator(..., preprocessing=[{not_stored}]) as detector"
    )


_MADE: dict[tuple[Any, ...], type[EstimatorDetector]] = {}
"""The classes that `Estimator` and `of_kept_model` have made, by their arguments."""


def _checked(target: str | type[Any], features: str, sign: str) -> type[Any]:
    """The class of the estimator.

    Raises:
        UserError: as in `Estimator`.
    """
    if features not in FEATURES:
        raise UserError(f"features must be {either(map(repr, FEATURES))}, got {features!r}")
    estimator = named_object(target) if isinstance(target, str) else target
    if not isinstance(estimator, type) or not hasattr(estimator, "fit"):
        raise UserError(f"{target!r} must be a class with a method fit, got {estimator!r}")
    _scoring(estimator, sign)  # refuses a sign that is not known
    return estimator


def _detector(
    estimator: type[Any],
    features: str,
    sign: str,
    steps: tuple[Any, ...],
    not_stored: str = "",
) -> type[EstimatorDetector]:
    """A new subclass of `EstimatorDetector`."""
    signature, scoring = _signature(estimator), _scoring(estimator, sign)
    reserved = {*dir(EstimatorConfig), *LATER, *(later.companion for later in LATER.values())}
    reserved |= {"epochs"}
    names = {(PREFIX if name in reserved else "") + name: name for name in signature.settable}
    config = make_dataclass(
        f"{estimator.__name__}Config",
        [
            ("components", float, field(default=FEATURES[features])),
            *((ours, Any, _field(signature.settable[name])) for ours, name in names.items()),
        ],
        bases=(EstimatorConfig,),
        namespace={"__module__": __name__, "__doc__": f"Hyperparameters of {estimator!r}."},
        frozen=True,
    )
    members = {
        "__module__": __name__,
        "__doc__": _about(estimator, scoring, signature),
        "Config": config,
        "sign": sign,
        "scoring": scoring,
        "names": names,
        "given": signature.given,
        "preprocessing": steps,
        "not_stored": not_stored,
        "constructor": classmethod(lambda cls: estimator),
    }
    return type(estimator.__name__, (EstimatorDetector,), members)


def _field(default: object) -> Any:  # noqa: ANN401
    """A field whose legal values are those of its kind."""
    rule = Rule((False, True)) if isinstance(default, bool) else Rule(kind=object)
    return field(default=default, metadata={"rule": rule})


def _signature(estimator: type[Any]) -> Signature:
    """The parameters of the constructor of an estimator.

    Raises:
        UserError: if a parameter has no default.
    """
    settable: dict[str, Any] = {}
    given: dict[str, Any] = {}
    left: list[str] = []
    for name, parameter in inspect.signature(estimator).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is parameter.empty:
            raise UserError(
                f"{estimator.__name__} needs the argument {name!r}, which has no default; write a "
                "subclass of it with a default, or a ShallowDetector"
            )
        if name == "random_state":
            given[name] = None
        elif name in SET_BY_THE_ENGINE:
            given[name] = SET_BY_THE_ENGINE[name]
        elif isinstance(parameter.default, PLAIN):
            settable[name] = parameter.default
        else:
            left.append(name)
    return Signature(settable, given, left)


def _scoring(estimator: type[Any], sign: str) -> tuple[str, int]:
    """The method that scores, and the factor of its values.

    Raises:
        UserError: if there is no such method, the sign is not known, or it is no sign.
    """
    from sklearn.base import OutlierMixin

    if sign not in ("auto", *SIGNS):
        raise UserError(f"sign must be {either(map(repr, ('auto', *SIGNS)))}, got {sign!r}")
    title = f"{estimator.__module__}:{estimator.__qualname__}"
    methods = [name for name in METHODS if hasattr(estimator, name)]
    if not methods:
        raise UserError(f"{title} has no method {either(METHODS)}, so it cannot score an image")
    if sign != "auto":
        return methods[0], SIGNS[sign]
    if _is_of_pyod(estimator):
        return "decision_function", SIGNS["larger_is_anomalous"]
    if issubclass(estimator, OutlierMixin):
        return methods[0], SIGNS["larger_is_normal"]
    raise UserError(
        f"{title} is an outlier detector neither of scikit-learn nor of PyOD, so the sign of its "
        f"{methods[0]} is not known; add sign={either(map(repr, SIGNS))}"
    )


def _is_of_pyod(estimator: type[Any]) -> bool:
    """Whether a class has PyOD's base class, `pyod.models.base.BaseDetector`."""
    return any(
        base.__name__ == "BaseDetector" and base.__module__.partition(".")[0] == "pyod"
        for base in estimator.__mro__
    )


def _content(steps: tuple[Any, ...]) -> bytes:
    """Transformers as bytes, which are equal for equal transformers.

    Raises:
        UserError: if one of them is no transformer.
    """
    from sklearn.base import clone

    for step in steps:
        if not all(hasattr(step, name) for name in ("fit", "transform", "get_params")):
            raise UserError(
                "preprocessing must be a transformer of scikit-learn or a list of them, such as "
                f"[StandardScaler()], got {step!r}"
            )
    return pickle.dumps([clone(step) for step in steps])


def seeded(transformer: Any, seed: int) -> Any:  # noqa: ANN401
    """An unfitted copy of a transformer whose random draws depend only on a seed.

    Args:
        transformer: a transformer of scikit-learn, or a pipeline of them.
        seed: the seed of every `random_state` that is None.
    """
    from sklearn.base import clone

    copy = clone(transformer)
    seeds = {
        name: seed
        for name, value in copy.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    return copy.set_params(**seeds)


def _about(estimator: type[Any], scoring: tuple[str, int], signature: Signature) -> str:
    """The docstring of a detector."""
    method, factor = scoring
    given = ", ".join(f"{n} = {v}" for n, v in signature.given.items() if v is not None)
    lines = [
        f"{estimator.__name__} of {estimator.__module__.partition('.')[0]}, fitted to features.",
        "",
        f"The score is {'minus ' if factor < 0 else ''}`{method}`, larger = more anomalous.",
        *([f"Always set: {given}."] if given else []),
        *([f"Left at their defaults: {', '.join(signature.left)}."] if signature.left else []),
        "",
        f"Source: the documentation of {estimator.__module__}.{estimator.__qualname__}.",
    ]
    return "\n".join(lines)

"""A search with a detector that it does not declare, and detectors by their names.

A detector is named by its module and class ("my_package.lof:LOF"), by its file and class
("mine.py:LOF"), or by a single name: that of a detector of the project or of an entry point.
"""

import ast
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_ad.errors import UserError, did_you_mean, one_line
from tune_ad.extensions import DETECTORS, extensions, member, named_object
from tune_ad.search.catalogue import file_and_name
from tune_ad.search.checks.fields import check_folder_name
from tune_ad.search.own_code import checked_file, file_of, from_file

if TYPE_CHECKING:
    from tune_ad.detectors.base import Detector
    from tune_ad.search.declaration import Search

FORMS = "a file and a class (mine.py:LOF), a module and a class (my_package.lof:LOF), or a name"
OF_KEPT_MODEL = 3
"""The number of arguments after the first in the call for the detector of a kept model."""


def detector_name(reference: str) -> str:
    """The part of a study's name that stands for a detector: the last name, in lower case.

    >>> detector_name("mine.py:MyLOF"), detector_name("my_package.lof:LOF")
    ('mylof', 'lof')

    Raises:
        UserError: if the reference names no class.
    """
    name = reference.rpartition(":")[2]
    if not name or (file_and_name(reference) and ":" not in reference):
        raise UserError(f"--detector must be {FORMS}, got {reference!r}")
    check_folder_name("--detector", name)
    return name.lower()


def find_detector(reference: str, is_fitted: bool = False) -> "type[Detector[Any]]":
    """The detector of that name.

    Args:
        reference: its name.
        is_fitted: whether it gets the fitted state of a kept model.

    Raises:
        UserError: if there is none, it is no complete detector, or it can only be that of a kept
            model.
    """
    from tune_ad.detectors.base import Detector

    value = _named(reference, is_fitted)
    if not (isinstance(value, type) and issubclass(value, Detector)):
        raise UserError(
            f"{reference} is no detector, but {value!r}; an outlier detector in scikit-learn's "
            "style becomes one by Estimator(...) of tune_ad.detectors.shallow.estimator"
        )
    _check(reference, value)
    return value


def reference_of(detector: "type[Detector[Any]]") -> str:
    """The text by which `find_detector` finds a detector again, also in another process."""
    from tune_ad.detectors.shallow.estimator import EstimatorDetector

    if issubclass(detector, EstimatorDetector) and detector.is_made():
        estimator = detector.constructor()
        file = file_of(estimator)
        return detector.call(f"{file}:{estimator.__qualname__}") if file else detector.reference()
    file = file_of(detector)
    return f"{file}:{detector.__qualname__}" if file else detector.reference()


def own_class(detector: "type[Detector[Any]]") -> type[Any]:
    """The class that a detector adds to the project: of one that `Estimator` made, the estimator.

    Args:
        detector: the class of the detector.
    """
    from tune_ad.detectors.shallow.estimator import EstimatorDetector

    is_made = issubclass(detector, EstimatorDetector) and detector.is_made()
    return detector.constructor() if is_made else detector  # type: ignore[attr-defined]


def with_detector(search: "Search", reference: str) -> "Search":
    """The search with another detector instead of its baselines.

    The detector has its default settings and its own search space (`Detector.space`).

    Raises:
        UserError: if there is no such detector, or it does not suit the search.
    """
    from tune_ad.search.baseline import Baseline

    detector = find_detector(reference)
    baseline = Baseline(detector, space=detector.space)
    return search.with_baselines((baseline,), detector_name(reference))


def _named(reference: str, is_fitted: bool) -> Any:  # noqa: ANN401
    """What a reference names; the arguments are those of `find_detector`.

    Raises:
        UserError: if it names nothing, or what can only be the detector of a kept model.
    """
    if reference.endswith(")"):
        return _made(reference, is_fitted)
    if in_file := file_and_name(reference):
        return _in_file(*in_file)
    return named_object(reference) if ":" in reference else _of_package(reference)


def _in_file(path: Path, name: str) -> Any:  # noqa: ANN401
    """What a name in a Python file stands for.

    Raises:
        UserError: if there is no such file or name, or the file cannot be imported.
    """
    return member(from_file(checked_file("--detector", path)), name, str(path))


def _made(reference: str, is_fitted: bool) -> Any:  # noqa: ANN401
    """The detector that a call such as "module:Estimator('sklearn.svm:OneClassSVM')" returns.

    The class of the estimator may also be named by its file. A fourth argument is the text of the
    preprocessing of a kept model.

    Raises:
        UserError: if it is a call of anything but `Estimator`, its arguments are not literals, or
            it can only be the detector of a kept model.
    """
    from tune_ad.detectors.shallow.estimator import Estimator, no_new_fit, of_kept_model

    function, _, arguments = reference.removesuffix(")").partition("(")
    if function != f"{Estimator.__module__}:{Estimator.__name__}":
        raise UserError(f"{reference} names no detector; it must be {FORMS}")
    try:
        target, *others = ast.literal_eval(f"({arguments},)")
        in_file = file_and_name(target)
        estimator = _in_file(*in_file) if in_file else target
        if len(others) < OF_KEPT_MODEL:
            return Estimator(estimator, *others)
        if not is_fitted:
            raise UserError(no_new_fit(target.rpartition(":")[2], others[-1]))
        return of_kept_model(estimator, *others)
    except (SyntaxError, ValueError, TypeError) as error:
        raise UserError(f"{reference} names no detector ({one_line(error)})") from error


def _of_package(name: str) -> Any:  # noqa: ANN401
    """The detector of the project, or of an entry point, that has a single name.

    Raises:
        UserError: if there is none, several have the name, or it cannot be imported.
    """
    from tune_ad.detectors import every_detector

    declared = [extension for extension in extensions(DETECTORS) if extension.name == name]
    project = every_detector()
    if declared and name in project:
        raise declared[0].fault(f"the project has a detector {name} itself")
    if len(declared) > 1:
        raise declared[0].fault(f"so does the package {declared[1].package}")
    if declared:
        return declared[0].load()
    if name in project:
        return project[name]
    names = sorted({*project, *(extension.name for extension in extensions(DETECTORS))})
    near = did_you_mean(name, names) or f"choose from {', '.join(names)}"
    raise UserError(f"--detector: there is no detector {name!r}; {near}, or give {FORMS}")


def _check(reference: str, detector: "type[Detector[Any]]") -> None:
    """Check that a detector is complete.

    Raises:
        UserError: naming what is missing.
    """
    from tune_ad.detectors.config import Config

    if inspect.isabstract(detector):
        missing = ", ".join(sorted(detector.__abstractmethods__))
        raise UserError(f"{reference} lacks {missing}; define it as tune_ad.detectors.base says")
    config = getattr(detector, "Config", None)
    if not (isinstance(config, type) and issubclass(config, Config)):
        raise UserError(
            f"{reference} has no Config; set Config to its hyperparameters, a frozen dataclass "
            "that is derived from Config, NetworkConfig or ShallowConfig"
        )
    try:
        config.rules()
    except TypeError as error:
        raise UserError(f"{reference}: {error}") from error

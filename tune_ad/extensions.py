"""What installed packages add by entry points, and objects named as "module:name".

An entry point is a line of a package's pyproject.toml, such as `ECOD = "my_package.ecod:ECOD"` in
the table `[project.entry-points."tune_ad.detectors"]`.
"""

import importlib
import importlib.util
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from tune_ad.errors import UserError, did_you_mean, one_line
from tune_ad.signals import IMPORT_SECONDS, ForeignError, alarm, foreign_code

DETECTORS = "tune_ad.detectors"
SEARCHES = "tune_ad.searches"
DATA_SETS = "tune_ad.datasets"
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""The names of packages for pip, by the names of their modules, where they differ."""


class Extension(NamedTuple):
    """What an installed package adds.

    Attributes:
        name: its name, the left-hand side of the entry point.
        target: the object as "module:name", or a module.
        package: name of the package.
        group: the group of the entry point.
    """

    name: str
    target: str
    package: str
    group: str

    def fault(self, reason: str) -> UserError:
        """The error for an extension that cannot be used, in one line that names its package."""
        return UserError(
            f"the package {self.package} adds {self.name} = {self.target!r} to {self.group}, "
            f"but {reason}; update or uninstall {self.package}"
        )

    def load(self) -> Any:  # noqa: ANN401
        """The object itself.

        Raises:
            UserError: if it cannot be imported, naming the package.
        """
        try:
            with foreign_code(), alarm(IMPORT_SECONDS):
                return EntryPoint(self.name, self.target, self.group).load()
        except ForeignError as fault:
            raise self.fault(f"it cannot be imported ({one_line(fault.error)})") from fault.error


def extensions(group: str) -> tuple[Extension, ...]:
    """What the installed packages add to a group, by package and name; none of it is imported."""
    found = {
        Extension(point.name, point.value, point.dist.name if point.dist else "?", group)
        for point in entry_points(group=group)
    }
    return tuple(sorted(found, key=lambda extension: (extension.package, extension.name)))


def is_of_extension(module: str) -> bool:
    """Whether a module belongs to a package that adds something by an entry point."""
    every = (found for group in (DETECTORS, SEARCHES, DATA_SETS) for found in extensions(group))
    return any(
        found.target.partition(":")[0].partition(".")[0] == module.partition(".")[0]
        for found in every
    )


def named_object(reference: str) -> Any:  # noqa: ANN401
    """The object that a text such as "sklearn.neighbors:LocalOutlierFactor" names.

    Raises:
        UserError: if the text has another form, or the package, the module or the name does not
            exist.
    """
    module_name, colon, name = reference.partition(":")
    if not (colon and module_name and name.isidentifier()):
        raise UserError(
            f"{reference!r} must name a module and a class, as in "
            "'sklearn.neighbors:LocalOutlierFactor'"
        )
    return member(_module(module_name, reference), name, module_name)


def _module(name: str, reference: str) -> Any:  # noqa: ANN401
    """The module of a reference.

    Raises:
        UserError: if its package is not installed, or it cannot be imported.
    """
    try:
        with foreign_code(), alarm(IMPORT_SECONDS):
            return importlib.import_module(name)
    except ForeignError as fault:
        raise _import_fault(name, reference, fault.error) from fault.error


def _import_fault(name: str, reference: str, error: BaseException) -> UserError:
    """The error for a module of a reference that cannot be imported."""
    if isinstance(error, ModuleNotFoundError):
        missing = error.name or name
        package = missing.partition(".")[0]
        if missing == package:
            pip = DISTRIBUTIONS.get(package, package)
            return UserError(
                f"{reference!r} needs the package {package}, which is not installed; install it "
                f"with: pip install {pip}"
            )
        return UserError(f"{reference!r}: there is no module {missing!r}; correct its name")
    return UserError(
        f"{reference!r}: the module {name} cannot be imported ({one_line(error)}); correct it"
    )


def member(module: object, name: str, shown: str) -> Any:  # noqa: ANN401
    """The value of a name in a module.

    Args:
        module: the module.
        name: the name.
        shown: the module as messages name it.

    Raises:
        UserError: if the module has no such name, with the nearest names.
    """
    if not hasattr(module, name):
        near = did_you_mean(name, [other for other in vars(module) if other[:1] != "_"])
        raise UserError(f"{shown} has no {name!r}; {near or 'correct the name'}")
    return getattr(module, name)

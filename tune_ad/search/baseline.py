"""A baseline of a search: a detector with its fixed parameters and its search space."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.answers import BUILD_SECONDS, answering
from tune_ad.detectors.base import Detector, skeleton
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError, did_you_mean
from tune_ad.search.checks.fields import (
    check_instance,
    check_mapping,
)
from tune_ad.search.checks.parameters import check_score_space, check_settings, check_space
from tune_ad.search.distributions import any_choices
from tune_ad.search.plans import ResolvedBaseline, Space, contains, grid_values


@dataclass(frozen=True)
class Baseline:
    """A detector with its fixed parameters and its search space.

    Attributes:
        detector: the class of the detector.
        space: Optuna distributions of the parameters that the plan chooses, by name.
        score_space: values of score-time parameters, by name; every model is scored with each of
            them.
        settings: fixed parameters that differ from the published ones, by name.
        name: name of the baseline in records; the detector's name if empty.

    Raises:
        UserError: if a field has the wrong type, or names a parameter or a value that the detector
            does not have.
    """

    detector: type[Detector[Any]]
    space: Space = field(default_factory=dict)
    score_space: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        """Check what can be checked without images."""
        if not isinstance(self.detector, type) or not issubclass(self.detector, Detector):
            raise UserError(f"detector must be a subclass of Detector, got {self.detector!r}")
        check_instance("the name of a baseline", self.name, str)
        if "," in self.name:
            raise UserError(
                f"the name of a baseline must have no comma, got {self.name!r}; --baselines reads "
                "names with a comma between them"
            )
        for name in ("space", "score_space", "settings"):
            check_mapping(f"{name} of {self.title}", getattr(self, name))
        rules = self.detector.Config.rules()
        check_space(self.title, rules, self.space)
        check_score_space(self.title, rules, self.detector.score_parameters, self.score_space)
        check_settings(self.title, rules, self.settings)

    @property
    def title(self) -> str:
        """The name of the baseline in records."""
        return self.name or self.detector.__name__

    def config(self, shape: ImageShape, params: Mapping[str, Any]) -> Config:
        """The configuration for images of some shape; `params` override the baseline's settings.

        Raises:
            UserError: if a parameter has no such name or an illegal value.
        """
        with answering(self.detector, "has no such configuration", BUILD_SECONDS):
            return self.detector.Config.released(shape, **{**self.settings, **params})

    def skeleton(self, shape: ImageShape) -> Detector[Any]:
        """The detector of the default configuration on the meta device, without weights.

        Raises:
            UserError: if it cannot be built for the images.
        """
        return skeleton(self.detector, self.config(shape, {}), shape)

    def scales(self, shape: ImageShape) -> dict[str, str]:
        """The scale of each quantity of the default configuration, by quantity."""
        return self.detector.scales(self.config(shape, {}))

    def fixed(self, settings: Mapping[str, Any]) -> "Baseline":
        """The baseline with `settings` fixed and no longer searched."""
        space = {name: d for name, d in self.space.items() if name not in settings}
        return replace(self, space=space, settings={**self.settings, **settings})

    def with_defaults(self, settings: Mapping[str, Any]) -> "Baseline":
        """The baseline with other defaults of those parameters that it has, searched or not."""
        names = self.detector.Config.rules()
        given = {name: value for name, value in settings.items() if name in names}
        return replace(self, settings={**self.settings, **given})

    def ablated(self) -> "Baseline":
        """The baseline with a search space that has the parameters which only ablations vary.

        They are the fields of `Config` with `Rule.is_ablated`, except those that the baseline
        fixes. A baseline that searches nothing stays as it is.
        """
        rules = self.detector.Config.rules().items() if self.space else ()
        further = {
            name: CategoricalDistribution(rule.options)
            for name, rule in rules
            if rule.is_ablated and name not in self.settings
        }
        return replace(self, space={**self.space, **further})

    def only(self, shape: ImageShape, values: Mapping[str, Sequence[Any]]) -> "Baseline":
        """The baseline with parameters restricted to the values that a budget allows.

        A searched parameter keeps the allowed choices. A default that is not allowed is replaced
        by the first allowed value.

        Raises:
            UserError: if none of the allowed values of a searched parameter is in its space.
        """
        known = self.detector.Config.rules()
        space, settings = dict(self.space), dict(self.settings)
        for name, allowed in values.items():
            if name not in known:
                continue
            left = [v for v in allowed if name not in space or contains(space[name], v)]
            if not left:
                raise UserError(
                    f"{name} of {self.title}: the budget allows only "
                    f"{', '.join(map(str, allowed))}, and none of that is in its search space "
                    f"{space[name]}; add it to the space, or change `only` of the budget"
                )
            if name in space and len(left) > 1:
                with any_choices():
                    space[name] = CategoricalDistribution(left)
            else:
                space.pop(name, None)
            if getattr(self.config(shape, {}), name) not in left:
                settings[name] = left[0]
        return replace(self, space=space, settings=settings)

    def changing(self, quantity: str) -> list[str]:
        """The searched parameters between whose values a quantity is not comparable.

        Args:
            quantity: as in `Detector.scales`.
        """
        rules = self.detector.Config.rules()
        return [name for name in self.space if name in rules and quantity in rules[name].measures]

    def each_epochs(self) -> list[dict[str, int]]:
        """The searched numbers of epochs, each as parameters; one empty dict if none is searched.

        Those of an interval are its ends.
        """
        if "epochs" not in self.space:
            return [{}]
        return [{"epochs": epochs} for epochs in grid_values(self.space["epochs"], 2)]

    def resolved(self, shape: ImageShape) -> ResolvedBaseline:
        """The search space and the defaults of the baseline, for a plan.

        Raises:
            UserError: if the default lies outside the space.
        """
        config = self.config(shape, {})
        default = {name: getattr(config, name) for name in self.space}
        for name, value in default.items():
            if not contains(self.space[name], value):
                raise UserError(
                    f"the default {name}={value!r} of {self.title} lies outside its search space "
                    f"{self.space[name]}; widen the space or set another default"
                )
        return ResolvedBaseline(self.title, self.space, default)


def check_parameters(names: Iterable[str], baselines: Iterable[Baseline]) -> None:
    """Refuse a parameter that none of the baselines has.

    Raises:
        UserError: naming the parameter, with the nearest names or all of them.
    """
    known = sorted({name for b in baselines for name in b.detector.Config.rules()})
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"choose from {', '.join(known)}"
            raise UserError(f"--set: no detector of this search has a parameter {name!r}; {hint}")

"""What a session costs: how many models it trains, and for how long on this machine."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tune_ad.app.estimates.cost import (
    Cost,
    Remaining,
    Size,
    Sizes,
    cost,
    image_sizes,
    longest_trial,
    overhead,
    size,
    trials_by_baseline,
)
from tune_ad.app.estimates.speed import measured_speed, relative_seconds
from tune_ad.search.ablation import with_enough_seeds
from tune_ad.search.budgets import Budget
from tune_ad.search.study import Study

if TYPE_CHECKING:
    from tune_ad.app.session import Session


@dataclass(frozen=True)
class Pricing:
    """What a session costs.

    Attributes:
        session: the study that is ready to run.
    """

    session: "Session"

    def size(self) -> Size:
        """The number of trials and models of the study."""
        study = self.session.study
        return size(self._under(study.budget_name, study.budget), len(self.session.tasks))

    def left(self) -> Size:
        """The number of trials and models that are still to be trained.

        While trials are missing, any trial may still win, so that all fresh seeds are counted.
        """
        whole, session = self.size(), self.session
        if session.begins:
            return whole
        trials = max(0, whole.trials - len(self._ended()))
        if not trials and whole.fresh_seeds:
            missing = sum(len(retraining.seeds) for retraining in session.retraining())
            return whole._replace(trials=trials, fresh_seeds=missing, winners=1)
        return whole._replace(trials=trials)

    def _ended(self) -> list[str]:
        """The baselines of the trials that have ended and are not trained again."""
        if self.session.begins:
            return []
        trials = self.session.folder.read_trials()
        return [r.baseline for r in trials if not self.session.is_repeated(r)]

    def costs(self) -> dict[str, Cost]:
        """The estimated cost of a new study under every budget, from short measurements.

        The budget of a study that exists is fixed: only what is left of it is priced, under that
        budget alone.
        """
        session = self.session
        options, chosen = session.options, session.study
        titles = ", ".join(baseline.title for baseline in chosen.baselines.values())
        session.say(f"timing a few training steps of {titles} ...")
        speeds = measured_speed(chosen, options.device, len(session.tasks) * len(chosen.seeds))
        budgets = chosen.search.budgets_for(chosen.data_set) if session.begins else {}
        budgets[chosen.budget_name] = chosen.budget
        parallel = min(session.concurrent, session.machine.slots(1, options.gpus or 0.0))
        costs = {}
        for name, budget in budgets.items():
            study = self._under(name, budget)
            if name != chosen.budget_name and options.ablate:
                study = with_enough_seeds(study, self.images(budget).tasks)
            ratios = relative_seconds(study, speeds, chosen)
            left = None
            if name == chosen.budget_name:
                rest = self.left()
                left = Remaining(rest, trials_by_baseline(study, rest.trials, self._ended()))
            training = cost(study, self.images(budget), speeds, ratios, parallel, left)
            extra = overhead(study, study.trials, options.backend)
            costs[name] = replace(training, overhead=extra)
        return costs

    def longest_trial(self) -> float:
        """The estimated seconds of the longest trial, from short measurements."""
        study = self.session.study
        models = len(self.session.tasks) * len(study.seeds)
        speeds = measured_speed(study, self.session.options.device, models)
        return longest_trial(study, self.images(study.budget), speeds)

    @property
    def train_images(self) -> int:
        """The number of training images per model, averaged over the classes."""
        return self.images(self.session.study.budget).train

    def images(self, budget: Budget) -> Sizes:
        """The numbers of images of a model under a budget, and of tasks."""
        source, *others = self.session.sources
        whole = self.session.study.search.of_whole_sets
        classes = 1 if whole else len(source.classes)
        class_images = source.train_images if whole else source.class_images
        outsiders = [other.test_images for other in others]
        sizes = image_sizes(budget, class_images, source.test_images, classes, outsiders)
        if whole or budget.classes is not None:
            return sizes
        return sizes._replace(tasks=source.normal_classes)

    def _under(self, name: str, budget: Budget) -> Study:
        """The study under a budget, without the final evaluation if --no-evaluation is given."""
        if not self.session.options.evaluate:
            budget = replace(budget, evaluation_seeds=0)
        return replace(self.session.study, budget=budget, budget_name=name)

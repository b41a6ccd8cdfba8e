"""Plans in one file: what they say about themselves is all that the rest of the program needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from analysis.questions.sensitivity.observations import observations
from analysis.report.findings import Findings
from analysis.report.sections import sensitivity
from analysis.report.study_report import write_report
from analysis.study import StudyRecords
from tune_ad.app.command_line.console import plan as dry_run
from tune_ad.errors import UserError
from tune_ad.search.plans import Configuration, Plan, ResolvedBaseline, grid_values
from tune_ad.storage.plan_traits import PlanTraits


@dataclass(frozen=True)
class Ends(Plan):
    """The default, then each parameter alone at both ends of its values.

    Attributes:
        with_default: whether the default is tried.
    """

    traits = PlanTraits(
        "the ends of each parameter", changes_single_parameters=True, is_designed=True
    )
    with_default: bool = True

    def all_configurations(
        self, baselines: Sequence[ResolvedBaseline], seed: int, trials: int
    ) -> list[Configuration]:
        """At most two for each parameter, and the default."""
        configurations = []
        for baseline in baselines:
            points = [dict(baseline.default)] if self.with_default else []
            for name, distribution in baseline.space.items():
                values = grid_values(distribution, 2)
                ends = {values[0], values[-1]} - {baseline.default[name]}
                points += [{**baseline.default, name: value} for value in sorted(ends)]
            configurations += [Configuration(baseline.name, point) for point in points]
        return configurations


@dataclass(frozen=True)
class Hasty(Plan):
    """Adapts after a single random configuration."""

    traits = PlanTraits("hasty search", adapts=True)

    def all_configurations(
        self, baselines: Sequence[ResolvedBaseline], seed: int, trials: int
    ) -> None:
        """None: it adapts."""
        return None

    def startup(self, trials: int) -> int:
        """One."""
        return 1


@pytest.fixture(scope="module")
def ends(tiny, open_study, tmp_path_factory):
    """A session of a search by `Ends`, run and reported; the rule decides nothing."""
    budget = replace(tiny.budgets["quick"], epochs=1, trials=99, evaluation_seeds=0)
    search = replace(tiny, plan=Ends(), budgets=dict.fromkeys(tiny.budgets, budget))
    session = open_study(search, tmp_path_factory.mktemp("results"))
    shown = dry_run(session)
    assert session.run().exit_code == 0
    write_report(session.folder.path)
    return session, shown


@pytest.fixture(scope="module")
def hasty(tiny, open_study, tmp_path_factory):
    """A session of a search by `Hasty`, which was run."""
    budget = replace(tiny.budgets["quick"], epochs=1, trials=3, evaluation_seeds=0)
    search = replace(tiny, plan=Hasty(), budgets=dict.fromkeys(tiny.budgets, budget))
    session = open_study(search, tmp_path_factory.mktemp("results"))
    assert session.run().exit_code == 0
    return session


@pytest.mark.slow
def test_the_command_line_says_what_the_plan_does(ends):
    _, shown = ends
    assert "plan: the ends of each parameter\nEvery configuration is tested" in shown
    assert "* quick: 5 trials x 2 classes = 10 models; about" in shown


def test_a_plan_that_does_not_adapt_is_run_as_it_is(ends):
    session, _ = ends
    tried = [record.params for record in session.folder.read_trials()]
    pairs = [(params["latent_dim"], params["dropout"]) for params in tried]
    assert pairs == [(8, 0.5), (4, 0.5), (16, 0.5), (8, 0.1), (8, 0.7)]
    assert not session.study.chooses
    assert session.scheduler().startup == 0


def test_the_study_keeps_what_the_plan_says(ends):
    session, _ = ends
    stored = session.folder.read_study()
    assert stored["study"]["plan"] == {
        "name": "Ends",
        "with_default": True,
        "traits": Ends.traits._asdict(),
    }
    assert stored["study"]["quotes"] == "defaults"
    assert stored["planned"] == {"PGN": 5}
    assert "startup" not in stored


def test_the_report_treats_the_plan_as_what_it_is(ends):
    session, _ = ends
    study = StudyRecords.read(session.folder.path)
    assert study.plan == Ends.traits
    assert not observations(study, "PGN").adaptive.any()
    assert sensitivity.section(Findings(study)) is None
    assert {effect.parameter for effect in Findings(study).effects} == {"latent_dim", "dropout"}
    report = (session.folder.path / "report.md").read_text(encoding="utf-8")
    assert "One change at a time" in report
    assert "plan: the ends of each parameter" in report
    assert "proposed adaptively" not in report


def test_a_plan_that_adapts_is_searched_and_its_trials_are_counted(hasty):
    assert hasty.scheduler().startup == 1
    assert hasty.study.chooses
    assert hasty.folder.read_study()["startup"] == 1
    study = StudyRecords.read(hasty.folder.path)
    assert observations(study, "PGN").adaptive.tolist() == [False, True, True]


def test_a_study_is_continued_by_the_same_plan_and_no_other(ends, tiny, open_study):
    session, _ = ends
    again = {"budget": "auto", "resume": True}
    results = session.folder.path.parent
    assert open_study(session.study.search, results, **again).study.search.plan == Ends()
    other = replace(session.study.search, plan=Ends(with_default=False))
    with pytest.raises(
        UserError, match="parts of the search have changed since it was begun: plan; use another"
    ):
        open_study(other, results, **again)


def test_an_ablation_of_one_at_a_time_is_not_ablated_again(tiny, open_study, tmp_path):
    with pytest.raises(UserError, match="already has the plan 'the ends of each parameter'"):
        open_study(replace(tiny, plan=Ends()), tmp_path, ablate="one")

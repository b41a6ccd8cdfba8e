"""How long a trial may run, by the estimated time of the longest trial of its study."""

from dataclasses import replace
from functools import partial

from tune_ad.app.command_line.options import Options
from tune_ad.execution.time_limit import TimeLimit


def trial_limit(options: Options) -> TimeLimit:
    """How long a trial may run.

    Args:
        options: options of the run.
    """
    return TimeLimit(options.trial_timeout, partial(longest_trial, options))


def longest_trial(options: Options) -> float:
    """The estimated seconds of the longest trial of a study that exists, on this machine.

    Args:
        options: options of the run that has begun it.
    """
    from tune_ad.app.estimates.pricing import Pricing
    from tune_ad.app.preparation.validation import prepare

    chosen = replace(options, resume=True, retry_failed=False, extend=0)
    return Pricing(prepare(chosen, lambda line: None, dry_run=True)).longest_trial()

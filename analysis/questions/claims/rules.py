"""The rules by which a study judges a claim, fixed before it is run.

Each claim has an ordered list of rules. A rule is an outcome, its condition in words, and the
function that decides it, so that what the report prints is what is applied. The first rule that
holds gives the verdict.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Literal, NamedTuple

import pandas as pd

from analysis.document.format import PERCENT, count
from analysis.questions.claims.strata import SIGNED, Stratum, strata
from analysis.stats.estimates import LEAST_PAIRS, MARGIN, estimate
from tune_ad.search.claim import Claim, ClaimKind

Outcome = Literal["fixes", "improves, does not fix", "no effect", "worsens", "inconclusive"]
CHANCE_AUROC, FIXED_AUROC = 0.5, 0.9
"""AUROC of guessing, and the AUROC above which outsiders count as told from normals."""


class ClaimRule(NamedTuple):
    """One rule of a claim.

    Attributes:
        outcome: of a stratum for which the rule holds.
        condition: when it holds, as a clause.
        reason: why it holds for a stratum, without a full stop; empty where it does not hold.
    """

    outcome: Outcome
    condition: str
    reason: Callable[[Stratum], str]


class ClaimRules(NamedTuple):
    """A claim and how it is judged.

    Attributes:
        statement: the claim, in a sentence.
        rules: in their order; the last holds wherever no other does.
        remark: what is reported beside the verdict.
    """

    statement: str
    rules: tuple[ClaimRule, ...]
    remark: str = ""

    @property
    def text(self) -> str:
        """The statement, the rules as a list, and the remark."""
        lines = [f"- {rule.outcome}, if {rule.condition}" for rule in self.rules]
        opening = (
            f"Claim: {self.statement} The verdict follows rules that were fixed before the run: "
            "for each stratum and each set of outsiders, the first line that holds decides."
        )
        return "\n\n".join(filter(None, (opening, ";\n".join(lines) + ".", self.remark)))


class Verdict(NamedTuple):
    """What a stratum says of a claim.

    Attributes:
        stratum: with its estimates.
        outcome: of the first rule that holds.
        reason: why that rule holds, without a full stop.
    """

    stratum: Stratum
    outcome: Outcome
    reason: str


def verdicts(claim: Claim, table: pd.DataFrame) -> list[Verdict]:
    """The verdicts on a table of models, one per stratum.

    Args:
        claim: that is tested.
        table: of models, as in `analysis.questions.claims.strata`.

    Raises:
        ValueError: if the models do not have the form that the claim needs.
    """
    return [decide(stratum) for stratum in strata(claim, table)]


def decide(stratum: Stratum) -> Verdict:
    """The verdict of a stratum: that of the first rule of its claim that holds."""
    holding = (
        Verdict(stratum, rule.outcome, reason)
        for rule in CLAIM_RULES[stratum.claim].rules
        if (reason := rule.reason(stratum))
    )
    return next(holding)


def _one_width(stratum: Stratum) -> str:
    only = stratum.levels[0]
    return "" if len(stratum.levels) > 1 else f"there is one width only, {only:g}"


def _no_bits(stratum: Stratum) -> str:
    if stratum.every_bits.notna().any(axis=None):
        return ""
    return f"no {stratum.unit} are recorded, so that nothing shows whether capacity bound"


def _no_baseline(stratum: Stratum) -> str:
    missing = stratum.every_auroc.iloc[:, 0].isna().all()
    return f"no model of the baseline, {stratum.levels[0]}, was tested" if missing else ""


def _too_few_seeds(stratum: Stratum) -> str:
    if stratum.n >= LEAST_PAIRS:
        return ""
    lost = stratum.left_out
    noun = "width" if stratum.claim == "capacity" else "level"
    left_out = f" ({count(lost, 'seed')} left out for a missing number)" if lost else ""
    return f"{count(stratum.n, 'seed')} with every {noun}{left_out}, {LEAST_PAIRS} needed"


def _not_binding(stratum: Stratum) -> str:
    bound = stratum.bits.high < 0
    return (
        "" if bound else f"capacity did not bind: {stratum.unit} of normals do not fall with width"
    )


def _equivalent(stratum: Stratum) -> str:
    where = " at every width" if stratum.claim == "capacity" else ""
    shown = f"the change in AUROC is shown to lie within ± {MARGIN}{where}"
    return shown if stratum.equivalent else ""


def _turns_back(stratum: Stratum) -> str:
    if stratum.effect.low > 0 and (below := _widest_gap(stratum, -1)):
        return f"not monotone: AUROC rises, but {below}"
    if stratum.effect.high < 0 and (above := _widest_gap(stratum, 1)):
        return f"not monotone: AUROC falls, but {above}"
    return ""


def _fixes(stratum: Stratum) -> str:
    rises, was_fixed = stratum.effect.low > 0, stratum.first.low > FIXED_AUROC
    fixes = rises and stratum.last.low > FIXED_AUROC and not was_fixed
    return f"AUROC rises, and to more than {FIXED_AUROC}" if fixes else ""


def _rises(stratum: Stratum) -> str:
    if not stratum.effect.low > 0:
        return ""
    if stratum.last.low > FIXED_AUROC:
        return f"AUROC was above {FIXED_AUROC} before, so nothing was to fix"
    return f"AUROC rises, but is not shown to exceed {FIXED_AUROC}"


def _falls(stratum: Stratum) -> str:
    return "AUROC falls" if stratum.effect.high < 0 else ""


def _nothing_shown(stratum: Stratum) -> str:
    above, below = _widest_gap(stratum, 1), _widest_gap(stratum, -1)
    if above and below:
        return f"not monotone: {above}, but {below}"
    if above or below:
        return f"no slope is shown, but {above or below}"
    return f"neither an effect nor its absence (within ± {MARGIN}) is shown"


def _widest_gap(stratum: Stratum, sign: int) -> str:
    """The widest gap between two widths, the larger one more than 0.02 above (1) or below (-1).

    Pairs of widths are not corrected for their number: the margin makes a false gap of a monotone
    curve rarer than 0.025 for each pair. Empty without such a gap, or where levels are no widths.
    """
    if stratum.claim != "capacity":
        return ""
    side = "above" if sign > 0 else "below"
    gaps = [
        (
            sign * gap.mean,
            f"width {wide:g} lies {PERCENT.text(abs(gap.mean))} points {side} width {narrow:g}",
        )
        for narrow, wide in combinations(stratum.levels, 2)
        for gap in [estimate((stratum.auroc[wide] - stratum.auroc[narrow]).tolist(), SIGNED)]
        if (gap.low if sign > 0 else -gap.high) > MARGIN
    ]
    return max(gaps, default=(0.0, ""))[1]


def _rules_of_effect(effect: str, last: str, first: str) -> tuple[ClaimRule, ...]:
    """The rules on the sign of an effect, which both claims share."""
    fixes = (
        f"the 95 % interval of {effect} lies above 0, that of AUROC {last} above {FIXED_AUROC}, "
        f"and that of AUROC {first} does not"
    )
    return (
        ClaimRule("fixes", fixes, _fixes),
        ClaimRule("improves, does not fix", f"the interval of {effect} lies above 0", _rises),
        ClaimRule("worsens", f"the interval of {effect} lies below 0", _falls),
        ClaimRule("inconclusive", "none of this holds", _nothing_shown),
    )


_FEW_SEEDS = f"fewer than {LEAST_PAIRS} seeds have"
_SLOPE = "the slope of AUROC on log2 width"
_NOT_BINDING = (
    "capacity did not bind: the 95 % interval of the slope of bits per dimension of normals on "
    "log2 width does not lie below 0"
)
_EQUIVALENT = (
    f"AUROC at every width minus AUROC at the smallest is within ± {MARGIN} (two one-sided tests "
    "at 0.05; all must hold, so none is corrected)"
)
_NOT_MONOTONE = (
    f"the 95 % interval of {_SLOPE} excludes 0, but the effect is not monotone: some width lies "
    f"more than {MARGIN} on the other side of a smaller one (the 95 % interval of their paired "
    "difference lies beyond)"
)
CLAIM_RULES: dict[ClaimKind, ClaimRules] = {
    "capacity": ClaimRules(
        "a model with more channels gives images of other data sets a lower likelihood.",
        (
            ClaimRule("inconclusive", "only one width was trained", _one_width),
            ClaimRule("inconclusive", "no bits per dimension of normals are recorded", _no_bits),
            ClaimRule("inconclusive", f"{_FEW_SEEDS} every width", _too_few_seeds),
            ClaimRule("inconclusive", _NOT_BINDING, _not_binding),
            ClaimRule("no effect", _EQUIVALENT, _equivalent),
            ClaimRule("inconclusive", _NOT_MONOTONE, _turns_back),
            *_rules_of_effect(_SLOPE, "at the largest width", "at the smallest width"),
        ),
    ),
    "forward_kl": ClaimRules(
        "training the encoder by the forward KL divergence lets the model tell images of other "
        "data sets from normals.",
        (
            ClaimRule("inconclusive", "no model of the baseline was tested", _no_baseline),
            ClaimRule("inconclusive", f"{_FEW_SEEDS} both levels", _too_few_seeds),
            ClaimRule(
                "no effect",
                f"the paired difference in AUROC is within ± {MARGIN} (two one-sided tests at "
                "0.05)",
                _equivalent,
            ),
            *_rules_of_effect(
                "the paired difference in AUROC", "with the treatment", "of the baseline"
            ),
        ),
        "Bits per dimension and the control, an encoder alone refitted on a fixed decoder, are "
        "reported beside it: a gain that the control has, too, comes from another bound on the "
        "same model, not from another model.",
    ),
}

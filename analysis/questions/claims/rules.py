"""The rules by which a study tests a claim, fixed before it is run, and the verdicts they give.

Each kind of claim is one entry of `CLAIM_RULES`: its statement, the design that says which levels
are compared and how, and an ordered list of rules. A rule is its condition in words together with
the function that decides it. The first rule that holds gives the verdict.
"""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import pandas as pd

from analysis.document.format import PERCENT
from analysis.questions.claims.evidence import Evidence
from analysis.questions.claims.strata import (
    SWEEP,
    TREATMENT,
    ClaimDesign,
    RankedImages,
    Stratum,
    strata,
)
from analysis.quoted import ABOUT_OUTSIDERS
from analysis.stats.estimates import MARGIN
from tune_ad.sample_sizes import LEAST_PAIRS
from tune_ad.search.claim import Claim, ClaimKind
from tune_ad.wording import count

Outcome = Literal["fixes", "improves, does not fix", "no effect", "worsens", "inconclusive"]
Reason = Callable[[Stratum], str]
"""Why a rule holds for a stratum, without a full stop; empty if it does not hold."""
FIXED_AUROC = 0.9
"""The AUROC above which images of an outsider set count as detected."""


class ClaimRule(NamedTuple):
    """One rule of a claim.

    Attributes:
        outcome: the outcome for a stratum for which the rule holds.
        condition: when it holds, as a clause.
        reason: the function that decides whether it holds.
    """

    outcome: Outcome
    condition: str
    reason: Reason


class ClaimRules(NamedTuple):
    """A kind of claim and how it is tested.

    Attributes:
        statement: the claim, in a sentence.
        design: which levels are compared, and how.
        rules: the rules in their order; the last holds wherever no other does.
        remark: what is reported in addition to the verdict.
    """

    statement: str
    design: ClaimDesign
    rules: tuple[ClaimRule, ...]
    remark: str = ""

    @property
    def text(self) -> str:
        """The statement, the rules as a list, and the remark."""
        lines = [f"- {rule.outcome}, if {rule.condition}" for rule in self.rules]
        opening = (
            f"Claim: {self.statement} The verdict follows rules that were fixed before the run: "
            "for each stratum and each outsider set, the first rule that holds gives the verdict. "
            f"{ABOUT_OUTSIDERS}"
        )
        return "\n\n".join(filter(None, (opening, ";\n".join(lines) + ".", self.remark)))


class Verdict(NamedTuple):
    """The outcome of the rules for one stratum.

    Attributes:
        stratum: the stratum with its estimates.
        outcome: the outcome of the first rule that holds.
        reason: why that rule holds, without a full stop.
    """

    stratum: Stratum
    outcome: Outcome
    reason: str


class Judgement(NamedTuple):
    """The verdicts for one task, outsider set and score.

    Attributes:
        evidence: the models.
        verdicts: one verdict per stratum; empty if there can be none.
        fault: why there is none, without a full stop; empty if there are verdicts.
    """

    evidence: Evidence
    verdicts: Sequence[Verdict]
    fault: str = ""


def judge(claim: Claim, evidence: Evidence) -> Judgement:
    """The verdicts on a claim from some evidence, or why there is none."""
    try:
        decided = verdicts(claim, evidence.table, evidence.images)
    except ValueError as error:
        more = "add every other parameter that differs between the trials to the claim's strata"
        return Judgement(evidence, [], f"{error}; {more}")
    fault = "" if decided else f"only one level of {claim.factor} was run"
    return Judgement(evidence, decided, fault)


def verdicts(
    claim: Claim,
    table: pd.DataFrame,
    images: RankedImages | None = None,
) -> list[Verdict]:
    """The verdicts on a table of models, one per stratum: by the first rule that holds.

    Args:
        claim: the claim that is tested.
        table: the models, as in `analysis.questions.claims.strata`.
        images: the test images, as in `Stratum`.

    Raises:
        ValueError: if the models do not have the form that the claim needs.
    """
    rules = CLAIM_RULES[claim.kind]
    return [
        next(
            Verdict(stratum, rule.outcome, reason)
            for rule in rules.rules
            if (reason := rule.reason(stratum))
        )
        for stratum in strata(claim, rules.design, table, images)
    ]


def _rule(outcome: Outcome, condition: str) -> Callable[[Reason], ClaimRule]:
    """Make a rule of the function that decides it."""
    return lambda reason: ClaimRule(outcome, condition, reason)


@_rule("inconclusive", "only one width was trained")
def _one_width(stratum: Stratum) -> str:
    only = stratum.levels[0]
    return "" if len(stratum.levels) > 1 else f"only one width ({only:g}) was trained"


@_rule("inconclusive", "no bits per dimension of normal images are recorded")
def _no_bits(stratum: Stratum) -> str:
    if stratum.every_bits.notna().any(axis=None):
        return ""
    return (
        f"no {stratum.unit} are recorded, so it is unknown whether larger models fit the data "
        "better"
    )


@_rule("inconclusive", "no model of the baseline was tested")
def _no_baseline(stratum: Stratum) -> str:
    missing = stratum.every_auroc.iloc[:, 0].isna().all()
    return f"no model of the baseline ({stratum.levels[0]}) was tested" if missing else ""


@_rule(
    "inconclusive",
    "larger models are not shown to fit the data better: the 95 % interval of the slope of bits "
    "per dimension of normal images on log2 width does not lie below 0",
)
def _not_binding(stratum: Stratum) -> str:
    if stratum.bits.high < 0:
        return ""
    return (
        f"larger models are not shown to fit the data better: {stratum.unit} of normal images do "
        "not decrease significantly with width"
    )


@_rule(
    "inconclusive",
    "the 95 % interval of the slope of AUROC on log2 width excludes 0, but the effect is not "
    f"monotone: for some pair of widths AUROC changes by more than {MARGIN} in the opposite "
    "direction (95 % interval of the paired difference)",
)
def _turns_back(stratum: Stratum) -> str:
    if stratum.effect.low > 0 and (below := _widest_gap(stratum, -1)):
        return f"not monotone: AUROC rises, but {below}"
    if stratum.effect.high < 0 and (above := _widest_gap(stratum, 1)):
        return f"not monotone: AUROC falls, but {above}"
    return ""


def _too_few_seeds(design: ClaimDesign) -> ClaimRule:
    @_rule("inconclusive", f"fewer than {LEAST_PAIRS} seeds have results for {design.needed}")
    def reason(stratum: Stratum) -> str:
        n = int(stratum.complete.sum())
        if n >= LEAST_PAIRS:
            return ""
        lost = len(stratum.complete) - n
        why = f" ({count(lost, 'seed')} left out because of a missing number)" if lost else ""
        return (
            f"{count(n, 'seed')} with results for {design.needed}{why}; {LEAST_PAIRS} are needed"
        )

    return reason


@_rule(
    "inconclusive",
    f"fewer than {LEAST_PAIRS} seeds have models that all reached a plateau (training ended "
    "because the validation loss had stopped improving); seeds with another model are left out",
)
def _no_plateau(stratum: Stratum) -> str:
    if stratum.n >= LEAST_PAIRS:
        return ""
    if stratum.every_treatment.isna().all(axis=None):
        return (
            "it is not recorded whether the models reached a plateau, so widths may not be "
            "equally converged; early stopping (patience of the search) records it"
        )
    seeds = count(len(stratum.paired), "seed")
    return (
        f"in {stratum.n} of {seeds} the models of every width reached a plateau of the validation "
        f"loss; {LEAST_PAIRS} are needed: train longer (--epochs)"
    )


@_rule(
    "inconclusive",
    f"fewer than {LEAST_PAIRS} seeds have a treated model whose importance weights are spread: "
    "their effective number in training, before tempering as well, is at least 2 (at least 1.5 "
    "for K = 2); with almost all "
    "weight on one of K codes, training does not follow the forward KL",
)
def _starved(stratum: Stratum) -> str:
    if stratum.n >= LEAST_PAIRS:
        return ""
    if stratum.every_treatment.isna().all(axis=None):
        return "the effective share of the importance weights is not recorded; run the study again"
    treated = stratum.table[stratum.table["factor"] == stratum.levels[1]]
    weight = f"on {treated['effective'].mean():.1f} of {treated['codes'].max():g} codes on average"
    return (
        f"the forward KL was realised in {stratum.n} of {count(len(stratum.paired), 'seed')}, "
        f"{LEAST_PAIRS} are needed: the importance weights of {stratum.levels[1]} are {weight} "
        "(effective number in training); use another likelihood, a smaller latent_dim or more "
        "samples"
    )


def _equivalent(condition: str, where: str = "") -> ClaimRule:
    @_rule("no effect", condition)
    def reason(stratum: Stratum) -> str:
        shown = f"the change in AUROC is shown to lie within ± {MARGIN}{where}"
        return shown if stratum.equivalent else ""

    return reason


def _effect_rules(design: ClaimDesign) -> tuple[ClaimRule, ...]:
    """The rules on the sign of the effect, which end the list of every claim."""
    effect = f"interval of the {design.effect}"

    @_rule(
        "fixes",
        f"the 95 % {effect} lies above 0, that of AUROC {design.last} above {FIXED_AUROC}, and "
        f"that of AUROC {design.first} does not",
    )
    def fixes(stratum: Stratum) -> str:
        rises, was_fixed = stratum.effect.low > 0, stratum.first.low > FIXED_AUROC
        holds = rises and stratum.last.low > FIXED_AUROC and not was_fixed
        return f"AUROC rises, and to more than {FIXED_AUROC}" if holds else ""

    @_rule("improves, does not fix", f"the {effect} lies above 0")
    def improves(stratum: Stratum) -> str:
        if not stratum.effect.low > 0:
            return ""
        if stratum.last.low > FIXED_AUROC:
            return f"AUROC rises, but AUROC {design.first} already exceeded {FIXED_AUROC}"
        return f"AUROC rises, but is not shown to exceed {FIXED_AUROC}"

    @_rule("worsens", f"the {effect} lies below 0")
    def worsens(stratum: Stratum) -> str:
        return "AUROC falls" if stratum.effect.high < 0 else ""

    return fixes, improves, worsens, _nothing_shown


@_rule("inconclusive", "none of this holds")
def _nothing_shown(stratum: Stratum) -> str:
    above, below = _widest_gap(stratum, 1), _widest_gap(stratum, -1)
    if above and below:
        return f"not monotone: {above}, but {below}"
    if above or below:
        return f"the slope is not significant, but {above or below}"
    return f"neither an effect nor its absence (within ± {MARGIN}) is shown"


def _widest_gap(stratum: Stratum, sign: int) -> str:
    """The widest gap between two widths, the larger one more than 0.02 above (1) or below (-1).

    The number of pairs is not corrected for: because of the margin, a false gap of a monotone
    curve has a probability below 0.025 per pair. Empty without such a gap or an axis.
    """
    if not stratum.design.axis:
        return ""
    side = "above" if sign > 0 else "below"
    name, levels = stratum.design.level_text, stratum.levels
    gaps = [
        (
            sign * gap.mean,
            f"{name(levels[wide])} lies {PERCENT.text(abs(gap.mean))} points {side} "
            f"{name(levels[narrow])}",
        )
        for narrow, wide in combinations(range(len(levels)), 2)
        for gap in [stratum.gap(wide, narrow)]
        if (gap.low if sign > 0 else -gap.high) > MARGIN
    ]
    return max(gaps, default=(0.0, ""))[1]


CLAIM_RULES: dict[ClaimKind, ClaimRules] = {
    "capacity": ClaimRules(
        "a model with more channels gives images of other data sets a lower likelihood.",
        SWEEP,
        (
            _one_width,
            _no_bits,
            _too_few_seeds(SWEEP),
            _no_plateau,
            _not_binding,
            _equivalent(
                f"AUROC at every width minus AUROC at the smallest is within ± {MARGIN} (two "
                "one-sided tests at 0.05; all must be significant, so no correction is needed)",
                " at every width",
            ),
            _turns_back,
            *_effect_rules(SWEEP),
        ),
    ),
    "forward_kl": ClaimRules(
        "training the encoder by the forward KL divergence improves the detection of images from "
        "other data sets.",
        TREATMENT,
        (
            _no_baseline,
            _too_few_seeds(TREATMENT),
            _starved,
            _equivalent(
                f"the {TREATMENT.effect} is within ± {MARGIN} (two one-sided tests at 0.05)"
            ),
            *_effect_rules(TREATMENT),
        ),
        "Bits per dimension and the control (only the encoder is retrained, on a fixed decoder) "
        "are reported as well: if the control shows the same gain, the gain is due to another "
        "bound on the same model, not to a better model.",
    ),
}

"""What the study says of the claim that it tests, by the rule that was fixed before."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document import Block, Cell, Figure, Section, Table, Text, Tone, count
from analysis.evidence import Asked, Evidence, asked, evidence, verdicts
from analysis.study import StudyRecords
from analysis.verdict import RULES, Verdict
from analysis.verdict_figures import draw_capacity, draw_forward_kl, sentence, spread

PLACE = 10
DRAW = {"capacity": draw_capacity, "forward_kl": draw_forward_kl}
TONES: dict[str, Tone] = {
    "fixes": "better",
    "improves, does not fix": "better",
    "no effect": "alike",
    "worsens": "worse",
    "inconclusive": "unsure",
}


def section(study: StudyRecords) -> Section | None:
    """The verdict per stratum and outsider set; None for a study that tests no claim."""
    claim = asked(study)
    if claim is None:
        return None
    if claim.fault:
        return Section("Verdict", [Text(f"No verdict: {claim.fault}.", "warning")])
    found = evidence(study, claim)
    blocks: list[Block] = [Text(RULES[claim.claim], "note")]
    if not found:
        why = f"no trial with the parameter {claim.factor} has met an outsider set"
        return Section("Verdict", [Text(f"No verdict: {why}.", "warning"), *blocks])
    judged = [(each, _judged(claim, each)) for each in found]
    total = sum(len(own) for _, own in judged if isinstance(own, list))
    if total > 1:
        said = f"{total} verdicts, each for itself: their intervals are not corrected for {total}."
        blocks.append(Text(said, "note"))
    for each, own in judged:
        blocks += [own] if isinstance(own, Text) else _blocks(claim, each, own)
    return Section("Verdict", blocks)


def _judged(claim: Asked, found: Evidence) -> list[Verdict] | Text:
    """The verdicts, or why there are none."""
    name = f"{found.task}, outsiders {found.outsider}"
    try:
        made = verdicts(claim, found)
    except ValueError as error:
        more = "; what else the trials vary belongs in the claim's strata"
        return Text(f"No verdict on {name}: {error}{more}.", "warning")
    if made:
        return made
    return Text(f"No verdict on {name}: only one level of {claim.factor} was run.", "warning")


def _blocks(claim: Asked, found: Evidence, own: Sequence[Verdict]) -> list[Block]:
    against = f"outsiders {found.outsider}"
    name = "".join(c if c.isalnum() else "_" for c in f"{found.task}_{found.outsider}")
    texts = [Text(sentence(each, against), "verdict") for each in own]
    figures = [
        Figure(f"verdict_{name}_{k}", partial(DRAW[claim.claim], each), _drawn(claim, found, each))
        for k, each in enumerate(own)
        if each.n
    ]
    table = Table(f"verdict_{name}", _shown(own), _about(claim, found), data=_data(own))
    return [*texts, table, *figures]


def _about(claim: Asked, found: Evidence) -> str:
    effect = "slope per doubling of the width"
    first, last = "smallest", "largest"
    if claim.claim == "forward_kl":
        effect, first, last = "treatment less baseline", "baseline", "treatment"
    bits = f"metric {found.bits}" if found.bits else "not recorded"
    lost = f" {count(found.failed, 'model')} failed." if found.failed else ""
    return (
        f"Test AUROC of {found.task} against {found.outsider}, in per cent and points; n paired "
        f"seeds, mean [95 % interval of Student's t over seeds]. Effect: {effect}; first and "
        f"last: at the {first} and the {last}. TOST: 90 % interval of last less first. Bits per "
        f"dimension of normals: {bits}; below 0 = a better model.{lost}"
    )


def _shown(own: Sequence[Verdict]) -> pd.DataFrame:
    rows = [
        {
            "stratum": each.stratum,
            "verdict": Cell(each.outcome, tone=TONES[each.outcome], note=each.reason),
            "n": each.n,
            "left out": each.left_out,
            "effect, points": Cell(spread(each.effect, 100, "+.1f"), each.effect.mean),
            "first, %": Cell(spread(each.first, 100, ".1f"), each.first.mean),
            "last, %": Cell(spread(each.last, 100, ".1f"), each.last.mean),
            "TOST, points": _tost(each),
            "bits/dim": Cell(spread(each.bits, 1, "+.3f"), each.bits.mean),
        }
        for each in own
    ]
    return pd.DataFrame(rows)


def _tost(found: Verdict) -> Cell:
    alike = found.alike
    if alike.refusal:
        return Cell("refused", note=alike.refusal)
    text = f"[{100 * alike.low:+.1f}, {100 * alike.high:+.1f}], p = {alike.p:.2g}"
    return Cell(text, alike.p, "alike" if alike.equivalent else "")


def _data(own: Sequence[Verdict]) -> pd.DataFrame:
    estimates = ("effect", "first", "last", "change", "bits", "control")
    rows = []
    for each in own:
        row: dict[str, object] = {
            "stratum": each.stratum,
            "verdict": each.outcome,
            "reason": each.reason,
            "n": each.n,
            "left out": each.left_out,
            "TOST p": each.alike.p,
        }
        for name in estimates:
            found = getattr(each, name)
            row |= {name: found.mean, f"{name} low": found.low, f"{name} high": found.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _drawn(claim: Asked, found: Evidence, own: Verdict) -> str:
    return (
        f"{own.stratum}: test AUROC of {found.task} against {found.outsider} (left) and bits per "
        f"dimension of normals (right) at each level of {claim.factor}. Thin: one line a seed; "
        f"thick: mean of n = {own.n} paired seeds with its 95 % interval. Verdict: {own.outcome}."
    )

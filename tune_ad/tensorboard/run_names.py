"""Names of runs that a person can read, as in "007 lr=3e-4 width=2"."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST = 60  # characters
USUAL = {"learning_rate": "lr", "weight_decay": "wd"}
ILLEGAL = re.compile(r"[^\w.+-]+", re.ASCII)


def run_name(start: str, params: Mapping[str, Any], default: Mapping[str, Any]) -> str:
    """The name of a run, and of its folder.

    What does not fit in `LONGEST` characters is counted; then the parameters that differ from the
    default come first.

    Args:
        start: the number of the trial, with what else tells it from others.
        params: the searched parameters that vary, in the order of the search space.
        default: their values in the default configuration.

    >>> run_name("007", {"learning_rate": 3e-4, "width": 2.0}, {})
    '007 lr=3e-4 width=2'
    """
    short = abbreviated(params)
    parts = {name: f"{short[name]}={shown(value)}" for name, value in params.items()}
    whole = " ".join([start, *parts.values()])
    if len(whole) <= LONGEST:
        return whole
    order = sorted(parts, key=lambda name: name in default and params[name] == default[name])
    kept = start
    for number, name in enumerate(order):
        rest = len(order) - number - 1
        longer = f"{kept} {parts[name]}"
        if len(longer) + (len(f" +{rest}") if rest else 0) > LONGEST:
            return f"{kept} +{rest + 1}"
        kept = longer
    return kept


def abbreviated(names: Iterable[str]) -> dict[str, str]:
    """Short names of parameters: a usual one, else the first word if no other name begins so.

    >>> abbreviated(["learning_rate", "latent_dim", "mc_samples", "kl_weight", "kl_start"])
    {'learning_rate': 'lr', 'latent_dim': 'latent', 'mc_samples': 'mc', 'kl_weight': 'kl_weight', \
'kl_start': 'kl_start'}
    """
    known = list(names)
    first = [USUAL.get(name, name.partition("_")[0]) for name in known]
    return {
        name: word if len(word) > 1 and first.count(word) == 1 else name
        for name, word in zip(known, first, strict=True)
    }


def shown(value: object) -> str:
    """A value in at most about ten characters, all of them legal in the name of a folder.

    >>> shown(0.00031), shown(2.0), shown(128), shown(None), shown((64, 32)), shown(123456.0)
    ('3.1e-4', '2', '128', 'None', '64-32', '1.23e+5')
    """
    if isinstance(value, float):
        text = re.sub(r"e([+-])0*", r"e\1", f"{value:.3g}")
        if "e" in text or not 0 < abs(value) < 1e-3:
            return text
        return re.sub(r"\.?0*e([+-])0*", r"e\1", f"{value:.2e}")
    return ILLEGAL.sub("-", str(value)).strip("-.")[:20] or "-"

"""The precisions in which networks are trained, as studies and records store them.

Scores and validation losses are always computed in float32.
"""

from collections.abc import Mapping

FLOAT32, BFLOAT16 = "float32", "bfloat16"
PRECISIONS = (FLOAT32, BFLOAT16)
AUTO = "auto"
"""The option that leaves the choice to the program."""


def in_words(precision: Mapping[str, str]) -> str:
    """The precision of every baseline in words; only "float32" if it is that of all.

    Args:
        precision: the precision of training by baseline.

    >>> in_words({"PGN": "float32", "VAE": "float32"})
    'float32'
    >>> in_words({"PGN": "bfloat16", "VAE": "float32"})
    'bfloat16 for PGN, float32 for VAE; scored in float32'
    """
    if all(name == FLOAT32 for name in precision.values()):
        return FLOAT32
    groups = {
        name: [baseline for baseline, of_it in precision.items() if of_it == name]
        for name in (BFLOAT16, FLOAT32)
    }
    texts = [f"{name} for {', '.join(of_it)}" for name, of_it in groups.items() if of_it]
    return f"{', '.join(texts)}; scored in float32"

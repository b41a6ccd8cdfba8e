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
    'PGN trained in bfloat16, scored in float32; VAE trained and scored in float32'
    """
    if all(name == FLOAT32 for name in precision.values()):
        return FLOAT32
    texts = {FLOAT32: "trained and scored in float32"}
    return "; ".join(
        f"{baseline} {texts.get(name, f'trained in {name}, scored in {FLOAT32}')}"
        for baseline, name in precision.items()
    )

"""The rules by which a study judges a claim, fixed before it is run."""

from typing import Literal

from analysis.stats.estimates import LEAST_PAIRS, MARGIN

Claim = Literal["capacity", "forward_kl"]
Outcome = Literal["fixes", "improves, does not fix", "no effect", "worsens", "inconclusive"]
CHANCE, FIXED = 0.5, 0.9
RULES: dict[Claim, str] = {
    "capacity": (
        "Claim: more channels make the model give outsiders a lower likelihood. Declared before; "
        "the first line that holds decides, for each stratum and outsider set alone:\n\n"
        f"- inconclusive, if fewer than {LEAST_PAIRS} seeds have every width;\n"
        "- inconclusive, if capacity did not bind: the 95 % interval of the slope of bits per "
        "dimension of normals on log2 width does not lie below 0;\n"
        "- no effect, if AUROC at every width less that at the smallest is within "
        f"± {MARGIN} (two one-sided tests at 0.05; all must hold, so none is corrected);\n"
        "- inconclusive, not monotone, if the 95 % interval of the slope of AUROC on log2 width "
        f"excludes 0, but some width lies more than {MARGIN} on the other side of a smaller one "
        "(the 95 % interval of their paired difference lies beyond);\n"
        "- fixes, if the 95 % interval of the slope of AUROC on log2 width lies above 0, that of "
        f"AUROC at the largest width above {FIXED}, and that at the smallest width does not;\n"
        "- improves, does not fix, if the slope's interval lies above 0 otherwise;\n"
        "- worsens, if it lies below 0;\n"
        "- inconclusive otherwise: not monotone or too noisy."
    ),
    "forward_kl": (
        "Claim: training the encoder by the forward KL divergence makes the model tell outsiders. "
        "Declared before; the first line that holds decides, for each stratum and outsider set "
        "alone:\n\n"
        f"- inconclusive, if fewer than {LEAST_PAIRS} seeds have both levels;\n"
        f"- no effect, if the paired difference in AUROC is within ± {MARGIN} (two one-sided "
        "tests at 0.05);\n"
        "- fixes, if the 95 % interval of the difference lies above 0, that of AUROC with the "
        f"treatment above {FIXED}, and that without does not;\n"
        "- improves, does not fix, if the difference's interval lies above 0 otherwise;\n"
        "- worsens, if it lies below 0;\n"
        "- inconclusive otherwise.\n\n"
        "Bits per dimension and the control, an encoder alone refitted on a fixed decoder, are "
        "reported beside it: a gain that the control has, too, is another bound on the same "
        "model, not another model."
    ),
}

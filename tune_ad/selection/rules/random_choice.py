"""Selection by chance, which every other rule should beat."""

from tune_ad.selection.rule import SelectionRule

RULES = (SelectionRule(name="random", title="chance (no result is used)", looks_at="nothing"),)

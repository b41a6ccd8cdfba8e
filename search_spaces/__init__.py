"""One module per detector family or claim; each holds `Search` values and nothing else."""

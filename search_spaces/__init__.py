"""One module per detector family or claim; each contains only `Search` values."""

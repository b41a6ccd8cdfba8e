"""Storage of a study: its records, file names and append-only JSON lines."""

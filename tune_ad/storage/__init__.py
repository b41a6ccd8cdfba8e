"""Text on disk: what a study records, every file name, lines that are only appended."""

"""What is checked before a study runs: fields, parameters, selection rules, and its size."""

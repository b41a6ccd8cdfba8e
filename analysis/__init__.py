"""From the records of a study to estimates, tables and reports; needs neither torch nor Ray."""

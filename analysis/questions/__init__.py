"""One module per question of the report: computes results from the records, draws figures."""

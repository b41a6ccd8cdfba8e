"""How much test AUROC each way to choose a configuration loses, and what no choice would give."""

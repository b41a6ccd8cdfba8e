"""Which hyperparameters matter: importances, surrogates, score-time curves."""

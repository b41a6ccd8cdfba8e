"""How a study went: its optimisation history, and the learning curves of its models."""

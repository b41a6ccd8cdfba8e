"""What is left of a study, and how long it will take."""

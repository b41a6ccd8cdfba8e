"""The application: options, checks, a study that is ready to run, what is printed."""

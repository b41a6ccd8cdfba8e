"""From the options to a session that is ready to run, or to a message in one line."""

"""Running the trials of a study: loop, callbacks, and the backends with and without Ray."""

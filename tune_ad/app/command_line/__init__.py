"""The command line: options and their parser, the commands, what is printed."""

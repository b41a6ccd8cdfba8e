"""One module for each selection rule, or for rules that differ in one setting: its `RULES`."""

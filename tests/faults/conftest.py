"""What pytest does not read as tests."""

collect_ignore = ["mortal"]  # a detector and a search, which a program imports from its folder

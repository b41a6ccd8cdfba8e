"""Whether PGN's score collapses when it is trained longer: its numbers, and the rules."""

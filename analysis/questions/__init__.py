"""One question each: from the records to named numbers, and their figures."""

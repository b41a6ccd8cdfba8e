"""The errors that a user can mend, and the one that says a measurement is meaningless."""


class UserError(Exception):
    """The input is wrong: the message is one line with the fault, the value and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """


class DegenerateInputError(ValueError):
    """A metric was asked of scores on which it has no meaning (one class only, NaN, infinite)."""

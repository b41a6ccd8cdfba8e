"""`python -m tune_ad`: the same as `tune-ad`."""

import sys

from tune_ad.app.command_line.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Run the command line with ``python -m nbdask``."""

import sys

from nbdask.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""Run the command line with ``python -m nbdask``."""

from nbdask.cli.main import entry

if __name__ == "__main__":
    entry()

"""What a command of the storm says of itself: `--help` prints it and starts nothing."""

from __future__ import annotations

import argparse


def explain(module: str, words: str | None) -> None:
    """Print a module's own words and exit, if that is asked for; exit with 2 at any other argument.

    The commands take environment variables, so that `make` passes them on, and no arguments.
    """
    argparse.ArgumentParser(
        prog=f"python -m {module}",
        usage="%(prog)s [--help]",
        description=words,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()

"""One service in a process that has loaded nothing else: what `tuanqiao serve` becomes.

The command line takes some 10 MB that a service never needs. eventlet must patch the process before anything
else is imported, hence the first lines.
"""

from __future__ import annotations

import sys
import warnings

warnings.filterwarnings("ignore", "(?s).*Eventlet is deprecated")
import eventlet

eventlet.monkey_patch()

from shared import runner, settings


def main(name: str) -> None:
    """Run a service of this installation until SIGTERM; a setting that cannot be meant ends it."""
    settings.begin_log()
    try:
        runner.serve(name, settings.from_environment())
    except settings.Wrong as wrong:
        sys.exit(str(wrong))


if __name__ == "__main__":
    main(sys.argv[1])

"""The compose file, and the command that it runs for a service."""

import sys

import yaml

from tests.installation import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def command(name: str) -> list[str]:
    """Return the command line of a service, with this interpreter as its entry point."""
    return [sys.executable, "-m", "system.cli", *COMPOSE["services"][name]["command"]]

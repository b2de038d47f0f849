"""What an installation sets for the orgs service; `docs/settings.md` lists the names."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.engine import Connection, Engine

from shared import db, practice
from shared.practice import Practice
from shared.settings import Environment
from shared.settings import Settings as Common


@dataclass(frozen=True)
class Settings:
    """The service's settings.

    Attributes:
        practice: What is done where the documents differ.
        observers: Whether organisations may have observers, who look and do nothing (ROLE-10).
        migration_patience: How long each node of a migration may wait (MIG-10).

    """

    practice: Practice = field(default_factory=Practice)
    observers: bool = False
    migration_patience: timedelta = timedelta(days=10)


def read(environment: Environment, common: Common) -> Settings:
    """Return the settings as the environment says them.

    Raises:
        Wrong: Names the setting that cannot be meant.

    """
    return Settings(
        practice=practice.from_environment(environment),
        observers=environment.switch("TUANQIAO_OBSERVERS"),
        migration_patience=timedelta(days=environment.number("TUANQIAO_MIGRATION_DAYS", 10)),
    )


def of(tx: Connection | Engine) -> Settings:
    """Return the settings of the service that a transaction belongs to."""
    return db.settings_of(tx, Settings)

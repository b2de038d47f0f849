"""Bringing a service's database to the schema of its migrations (Alembic, one history per service)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from shared import db
from shared.settings import Settings, role


class Stopped(Exception):
    """A migration cannot go on before people have put right what it says; nothing of it was done."""


def config(service: str, url: str) -> Config:
    """Return Alembic's configuration of a service."""
    made = Config()
    made.set_main_option(
        "script_location",
        str(Path(import_module(f"services.{role(service)}").__file__ or "").parent / "migrations"),
    )
    made.attributes["url"] = url
    return made


def run(metadata: sa.MetaData) -> None:
    """Run what Alembic asks for; called by each service's `migrations/env.py`."""
    engine = sa.create_engine(db.address(context.config.attributes["url"]))
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, compare_type=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def upgrade(settings: Settings, services: Sequence[str] | None = None) -> None:
    """Create what is missing of the services' databases and bring each to the newest schema.

    Raises:
        Stopped: Something has to be put right first; the services before it are at the newest schema.

    """
    for service in services or settings.services:
        url = settings.database(service)
        db.create_database(url)
        command.upgrade(config(service, url), "head")


def pending(service: str, url: str) -> bool:
    """Return whether the database of `service` is behind its migrations."""
    engine = db.connect(url, pool_size=1)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    return current != ScriptDirectory.from_config(config(service, url)).get_current_head()

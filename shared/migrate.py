"""Bringing a service's database to the schema of its migrations (Alembic, one history per service).

Alembic is loaded where it works: a running service asks only whether anything is `pending`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from shared import db
from shared.settings import Settings, role

if TYPE_CHECKING:
    from alembic.config import Config


class Stopped(Exception):
    """A migration cannot go on before people have put right what it says; nothing of it was done."""


def config(service: str, url: str) -> Config:
    """Return Alembic's configuration of a service."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(_folder(service)))
    made.attributes["url"] = url
    return made


def _folder(service: str) -> Path:
    return Path(import_module(f"services.{role(service)}").__file__ or "").parent / "migrations"


def run(metadata: sa.MetaData) -> None:
    """Run what Alembic asks for; called by each service's `migrations/env.py`."""
    from alembic import context

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
    from alembic import command

    for service in services or settings.services:
        url = settings.database(service)
        db.create_database(url)
        command.upgrade(config(service, url), "head")


def pending(service: str, url: str) -> bool:
    """Return whether the database of `service` is behind its migrations, the last of which is the newest."""
    engine = db.connect(url, pool_size=1)
    try:
        with engine.connect() as connection:
            there = connection.scalar(sa.text("SELECT to_regclass('alembic_version') IS NOT NULL"))
            current = connection.scalar(_CURRENT) if there else None
    finally:
        engine.dispose()
    return current != max(file.stem for file in (_folder(service) / "versions").glob("*.py"))


_CURRENT = sa.text("SELECT version_num FROM alembic_version")

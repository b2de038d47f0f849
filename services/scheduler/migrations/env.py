"""Alembic's entry for the scheduler service."""

from services.scheduler.models import metadata
from shared.migrate import run

run(metadata)

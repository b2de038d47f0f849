"""Alembic's entry for the orgs service."""

from services.orgs.models import metadata
from shared.migrate import run

run(metadata)

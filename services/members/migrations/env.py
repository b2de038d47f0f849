"""Alembic's entry for the members service."""

from services.members.models import metadata
from shared.migrate import run

run(metadata)

"""Alembic's entry for the transfers service."""

from services.transfers.models import metadata
from shared.migrate import run

run(metadata)

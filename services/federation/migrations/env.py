"""Alembic's entry for the bridge to a peer."""

from services.federation.models import metadata
from shared.migrate import run

run(metadata)

"""The migrations of each service lead exactly to the tables of its models; settings and metrics are documented."""
import re
import uuid
from importlib import import_module

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from prometheus_client import REGISTRY

from shared import db, migrate
from shared.settings import SERVICES
from tests.conftest import server_url
from tests.installation import ROOT


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_match_models(service):
    """Upgrading an empty database leaves nothing for the models to ask for, and can be taken back."""
    url = server_url(f"tq_schema_{uuid.uuid4().hex[:8]}")
    db.create_database(url)
    try:
        command.upgrade(migrate.config(service, url), "head")
        assert not migrate.pending(service, url)
        engine = db.connect(url)
        with engine.connect() as connection:
            difference = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), import_module(f"services.{service}.models").metadata)
        engine.dispose()
        assert difference == []
        command.downgrade(migrate.config(service, url), "base")
    finally:
        db.drop_database(url)


def test_settings_are_documented():
    """Every environment name that the code reads is in docs/settings.md."""
    page = (ROOT / "docs" / "settings.md").read_text()
    code = "".join(path.read_text() for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.py"))
    names = set(re.findall(r'(?:os\.environ\.get|\benv)\(\s*"([A-Z_]+)"', code))
    assert names and all(f"`{name}`" in page for name in names), names


def test_metrics_are_documented():
    """Every metric of ours is in docs/metrics.md."""
    import services.gateway.app
    import shared.metrics

    assert services.gateway.app and shared.metrics
    page = (ROOT / "docs" / "metrics.md").read_text()
    names = {metric.name for metric in REGISTRY.collect() if metric.name.startswith("tuanqiao_")}
    assert names and all(f"`{name}`" in page for name in names), [name for name in names if f"`{name}`" not in page]

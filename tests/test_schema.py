"""The migrations of each service lead exactly to the tables of its models.

Settings and metrics are documented.
"""

import uuid
from importlib import import_module

import msgspec
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from prometheus_client import REGISTRY

from shared import db, migrate
from shared.messages.orgs import OrgChanged
from shared.settings import SERVICES
from tests.conftest import server_url
from tests.installation import ROOT


@pytest.mark.parametrize("service", (*SERVICES, "federation"))
def test_migrations_match_models(service):
    """Upgrading an empty database leaves nothing for the models to ask for, and can be taken back."""
    url = server_url(f"tq_schema_{uuid.uuid4().hex[:8]}")
    db.create_database(url)
    try:
        command.upgrade(migrate.config(service, url), "head")
        assert not migrate.pending(service, url)
        engine = db.connect(url)
        with engine.connect() as connection:
            difference = compare_metadata(
                MigrationContext.configure(connection, opts={"compare_type": True}),
                import_module(f"services.{service}.models").metadata,
            )
        engine.dispose()
        assert difference == []
        command.downgrade(migrate.config(service, url), "base")
    finally:
        db.drop_database(url)


@pytest.mark.rule("TYPE-10")
def test_old_organisations_get_a_division():
    """TYPE-10: what has no division code gets that of the nearest organisation above.

    The other services are told with a higher version.
    """
    url = server_url(f"tq_schema_{uuid.uuid4().hex[:8]}")
    db.create_database(url)
    try:
        command.upgrade(migrate.config("orgs", url), "0004_audit_log")
        engine = db.connect(url)
        with engine.begin() as tx:
            for org, path, code in (
                (1, "1.", None),
                (42, "1.42.", "42"),
                (7, "1.42.7.", "420106001"),
                (8, "1.42.7.8.", None),
                (9, "1.42.9.", None),
                (91, "1.91.", None),
            ):
                tx.execute(
                    sa.text(
                        "INSERT INTO orgs (org_id, path, kind, purpose, province, system,"
                        " short_name, full_name, bigrams, display_order, version, division_code)"
                        " VALUES (:org, :path, 'branch', 'handover', '42', 'national',"
                        " '', CAST(:org AS text), '{}', 0, 3, :code)"
                    ),
                    {"org": org, "path": path, "code": code},
                )
        command.upgrade(migrate.config("orgs", url), "head")
        with engine.connect() as tx:
            assert dict(tx.execute(sa.text("SELECT org_id, division_code FROM orgs")).all()) == {
                1: None,
                42: "42",
                7: "420106001",
                8: "420106001",
                9: "42",
                91: None,
            }
            told = [
                item
                for body in tx.scalars(
                    sa.text("SELECT body FROM outbox WHERE topic = 'org_changed' AND published_at IS NULL")
                )
                for item in msgspec.json.decode(body, type=list[OrgChanged])
            ]
        engine.dispose()
        assert {(item.org_id, item.division_code, item.version, item.name) for item in told} == {
            (8, "420106001", 4, "8"),
            (9, "42", 4, "9"),
        }
    finally:
        db.drop_database(url)


def test_metrics_are_documented():
    """Every metric of ours is in docs/metrics.md."""
    import services.gateway.app
    import shared.metrics

    assert services.gateway.app and shared.metrics
    page = (ROOT / "docs" / "metrics.md").read_text()
    names = {metric.name for metric in REGISTRY.collect() if metric.name.startswith("tuanqiao_")}
    assert names and all(f"`{name}`" in page for name in names), [
        name for name in names if f"`{name}`" not in page
    ]


@pytest.mark.rule("FED-01")
def test_an_installation_with_members_in_another_system_stops():
    """FED-01: where members of before stand in one of the three, migrating stops and lists their branches.

    Nothing of the step is done; once they are gone it goes on.
    """
    url = server_url(f"tq_schema_{uuid.uuid4().hex[:8]}")
    db.create_database(url)
    try:
        command.upgrade(migrate.config("members", url), "0015_letters")
        engine = db.connect(url)
        with engine.begin() as tx:
            for org, system in ((35001, "FJ"), (42001, "national")):
                tx.execute(
                    sa.text(
                        "INSERT INTO org_directory"
                        " (org_id, path, kind, purpose, province, system, name, version, deleted)"
                        " VALUES (:org, '1.', 'branch', 'ordinary', '00', :system, :name, 1, false)"
                    ),
                    {"org": org, "system": system, "name": f"支部{org}"},
                )
                tx.execute(
                    sa.text(
                        "INSERT INTO people (name, id_sealed, id_index, branch_id)"
                        " VALUES ('某人', '', :number, :org)"
                    ),
                    {"number": str(org).encode(), "org": org},
                )
        with pytest.raises(migrate.Stopped, match=r"  35001 支部35001: 1\Z"):
            command.upgrade(migrate.config("members", url), "head")
        assert migrate.pending("members", url)
        with engine.begin() as tx:
            tx.execute(sa.text("UPDATE people SET branch_id = 42001"))
        command.upgrade(migrate.config("members", url), "head")
        assert not migrate.pending("members", url)
        engine.dispose()
    finally:
        db.drop_database(url)

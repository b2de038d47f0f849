"""Organisations without a division code get that of the nearest one above; the other services are told."""

from alembic import op

revision = "0005_division_codes"
down_revision = "0004_audit_log"
branch_labels = None
depends_on = None

FILL = """
    WITH missing AS (SELECT o.org_id, (SELECT a.division_code FROM orgs a
            WHERE a.org_id = ANY(CAST(string_to_array(rtrim(o.path, '.'), '.') AS bigint[]))
                AND a.division_code IS NOT NULL
            ORDER BY length(a.path) DESC LIMIT 1) AS code
        FROM orgs o WHERE o.division_code IS NULL),
    changed AS (UPDATE orgs o SET division_code = m.code, version = o.version + 1 FROM missing m
        WHERE o.org_id = m.org_id AND m.code IS NOT NULL RETURNING o.*)
    INSERT INTO outbox (topic, body)
    SELECT 'org_changed', json_agg(json_build_object(
            'org_id', org_id, 'parent_id', parent_id, 'path', path,
            'kind', kind, 'purpose', purpose, 'province', province, 'system', system,
            'provincial_id', provincial_id, 'vault_id', vault_id,
            'name', full_name, 'version', version, 'deleted', deleted,
            'industry', industry, 'division_code', division_code))::text
        FROM (SELECT *, (row_number() OVER () - 1) / 500 AS chunk FROM changed) AS packed
        GROUP BY chunk"""


def upgrade() -> None:
    op.execute(FILL)


def downgrade() -> None:
    """Leave the codes: nothing is hurt by them."""

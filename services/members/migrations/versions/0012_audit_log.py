"""The audit log with its heads, which nobody changes or deletes (BEY-10); it takes the access log over."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from shared import audit
from shared.audit import append_only

revision = "0012_audit_log"
down_revision = "0011_whose_commands"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("audit_lane")))
    op.create_table(
        "audit_log",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), comment="who; null: the system itself, or the command line"),
        sa.Column("org_id", sa.BigInteger(), comment="the organisation that was acted for"),
        sa.Column("place_id", sa.BigInteger(), comment="the organisation that it happened to or in"),
        sa.Column("persons", ARRAY(sa.BigInteger()), nullable=False, comment="whom it concerns"),
        sa.Column("ref", sa.Text(), nullable=False, comment="what else it concerns, such as migration 12"),
        sa.Column("before", sa.Text(), comment="JSON"),
        sa.Column("after", sa.Text(), comment="JSON"),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("provincial_id", sa.BigInteger(), comment="above the place"),
        sa.Column("acting_provincial_id", sa.BigInteger(), comment="above the acting organisation"),
        sa.Column("hash", sa.LargeBinary(), nullable=False, comment="of the hash before and this line"),
        sa.PrimaryKeyConstraint("lane", "seq", name=op.f("pk_audit_log")),
        comment="append-only (BEY-10)",
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
    op.create_index("ix_audit_log_person_id", "audit_log", ["person_id", "at"])
    op.create_index("ix_audit_log_place_id", "audit_log", ["place_id", "at"])
    op.create_index("ix_audit_log_persons", "audit_log", ["persons"], postgresql_using="gin")
    op.create_table(
        "audit_heads",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "told", sa.BigInteger(), server_default="0", nullable=False, comment="rows when it was told last"
        ),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_audit_heads")),
        comment="how long each chain of the log is, and its last hash",
        postgresql_with={"fillfactor": "50"},
    )
    for statement in (*append_only("audit_log"), *append_only("audit_heads", "DELETE OR TRUNCATE")):
        op.execute(statement)
    _take_over()


def _take_over() -> None:
    """Copy the access log of before into the log, as one chain; its own hashes end here."""
    tx = op.get_bind()
    kinds = {
        "reveal": "view.unmasked",
        "export": "export.members",
        "export of full numbers": "export.full",
        "file": "export.file",
    }
    rows = tx.execute(
        sa.text(
            "SELECT l.*, o.provincial_id FROM access_log l LEFT JOIN org_directory o USING (org_id)"
            " ORDER BY seq"
        )
    ).all()
    previous, lines = b"", []
    for seq, row in enumerate(rows, start=1):
        is_file = row.action == "file"
        line = {
            "lane": 1,
            "seq": seq,
            "at": audit.instant(row.at),
            "kind": kinds[row.action],
            "person_id": row.person_id,
            "org_id": row.org_id,
            "place_id": row.org_id,
            "persons": list(row.subjects),
            "ref": row.reason if is_file else "",
            "before": None,
            "after": None,
            "note": "" if is_file else row.reason,
            "request_id": "",
            "provincial_id": row.provincial_id,
            "acting_provincial_id": row.provincial_id,
        }
        previous = audit.link(previous, line)
        lines.append({**line, "hash": previous})
    if lines:
        table = sa.table(
            "audit_log",
            *(sa.column(name) for name in lines[0] if name != "persons"),
            sa.column("persons", ARRAY(sa.BigInteger())),
        )
        op.bulk_insert(table, lines)
        tx.execute(
            sa.text(
                "INSERT INTO audit_heads (lane, rows, hash) VALUES (nextval('audit_lane'), :rows, :hash)"
            ),
            {"rows": len(lines), "hash": previous},
        )
    op.drop_table("access_log")


def downgrade() -> None:
    op.create_table(
        "access_log",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("org_id", sa.BigInteger(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False, comment="reveal, export"),
        sa.Column("subjects", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_access_log")),
        comment="append-only; each hash covers the one before (BEY-10)",
    )
    op.drop_table("audit_heads")
    op.drop_table("audit_log")
    op.execute(sa.schema.DropSequence(sa.Sequence("audit_lane")))
    op.execute("DROP FUNCTION refuse_change()")

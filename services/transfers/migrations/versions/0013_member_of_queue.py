"""What the queue of approvals shows of members; it is asked for where transfers are open."""

import sqlalchemy as sa
from alembic import op

from shared.messages.transfers import TransferRequested
from shared.outbox import insert, tell

revision = "0013_member_of_queue"
down_revision = "0012_queue"
branch_labels = None
depends_on = None

# Members answers again for those whom it holds, and what is answered again moves nothing.
_ASK = f"""
    WITH again AS (
        SELECT t.* FROM transfers t JOIN open_transfers x USING (transfer_id, member_id)
        WHERE t.state <> 'moving')
    {insert(tell(TransferRequested, "again", batch_id="NULL", batch_size="0"))}"""
_VIEWS = """
    UPDATE work_views SET filter = (
        CASE WHEN (filter::jsonb ->> 'unusual')::boolean
            THEN filter::jsonb || '{"check": "unusual"}' ELSE filter::jsonb END
        - 'unusual' - 'member_ids')::text"""


def upgrade() -> None:
    op.add_column(
        "open_transfers",
        sa.Column(
            "name", sa.Text(), server_default="", nullable=False, comment="the member's, while it is open"
        ),
    )
    op.add_column(
        "open_transfers",
        sa.Column("identity_check", sa.Text(), server_default="unchecked", nullable=False, comment="MEM-19"),
    )
    op.create_table_comment(
        "open_transfers",
        "one open transfer per member (TRF-02), with what the queue shows of the member",
        existing_comment="one open transfer per member (TRF-02)",
    )
    op.execute(_ASK)
    op.execute(_VIEWS)


def downgrade() -> None:
    op.create_table_comment(
        "open_transfers",
        "one open transfer per member (TRF-02)",
        existing_comment="one open transfer per member (TRF-02), with what the queue shows of the member",
    )
    op.drop_column("open_transfers", "identity_check")
    op.drop_column("open_transfers", "name")

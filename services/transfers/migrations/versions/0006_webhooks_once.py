"""An address is told once by an organisation.

Of several the newest stays, since its secret was shown last.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006_webhooks_once"
down_revision = "0005_reason_kind"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "WITH ended AS ("
        "UPDATE webhooks w SET active = false WHERE active AND EXISTS (SELECT 1 FROM webhooks n"
        " WHERE n.org_id = w.org_id AND n.url = w.url AND n.active AND n.webhook_id > w.webhook_id)"
        " RETURNING webhook_id)"
        " UPDATE deliveries d SET next_at = NULL, problem = 'switched off' FROM ended e"
        " WHERE d.webhook_id = e.webhook_id AND d.next_at IS NOT NULL"
    )
    op.create_index(
        "uq_webhooks_told", "webhooks", ["org_id", "url"], unique=True, postgresql_where=sa.text("active")
    )


def downgrade() -> None:
    op.drop_index("uq_webhooks_told", table_name="webhooks", postgresql_where=sa.text("active"))

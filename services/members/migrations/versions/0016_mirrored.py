"""Who stands in Beijing, Guangdong or Fujian is that system's: no member of before stays there (FED-01)."""

import sqlalchemy as sa
from alembic import op

from shared.migrate import Stopped

revision = "0016_mirrored"
down_revision = "0015_letters"
branch_labels = None
depends_on = None

MOST_SHOWN = 50
_THERE = sa.text("""
    SELECT d.org_id, d.name, count(*) AS members, count(*) OVER () AS branches
    FROM people p JOIN org_directory d ON d.org_id = p.branch_id
    WHERE d.system <> 'national'
    GROUP BY d.org_id, d.name ORDER BY d.org_id LIMIT :most""")


def upgrade() -> None:
    found = op.get_bind().execute(_THERE, {"most": MOST_SHOWN}).all()
    if found:
        lines = [f"  {row.org_id} {row.name}: {row.members}" for row in found]
        more = found[0].branches - len(found)
        raise Stopped(
            "Members stand in branches of Beijing, Guangdong or Fujian, which keep their organisations"
            " themselves. Move them out with the version before, then migrate again."
            " Branches and how many members are in each:\n"
            + "\n".join([*lines, *([f"  and {more} more branches"] if more else [])])
        )


def downgrade() -> None:
    pass

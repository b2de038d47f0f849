"""What the walks over all commands and queries of a service share.

Who does nothing that the log has to know is named with a reason.
"""

import sqlalchemy as sa

SHOWS = "shows what the caller may see anyway, identity numbers masked"
OWN = "concerns the caller alone"


def names(service) -> set[str]:
    """Return the names of all commands and queries of a service."""
    return {one.name for one in (*service.commands, *service.queries)}


def written(tx, act) -> list:
    """Do something and return the lines that it wrote into the audit log, oldest first."""
    before = {(row.lane, row.seq) for row in tx.execute(sa.text("SELECT lane, seq FROM audit_log"))}
    act()
    rows = tx.execute(sa.text("SELECT * FROM audit_log ORDER BY at, lane, seq")).all()
    return [row for row in rows if (row.lane, row.seq) not in before]

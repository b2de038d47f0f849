import sqlalchemy as sa


def probe_tables() -> sa.MetaData:
    """Return the probe's tables without importing the probe, which patches the process."""
    from shared import db, inbox, lives, outbox

    metadata = db.metadata()
    for name in ("effects", "tries"):
        sa.Table(
            name,
            metadata,
            sa.Column("id", sa.BigInteger, primary_key=True),
            sa.Column("times", sa.Integer, nullable=False),
        )
    sa.Table("names", metadata, sa.Column("name", sa.Text, index=True))
    metadata.info["sequence"] = sa.Sequence("tries_of_sleep", metadata=metadata)
    lives.table(metadata)
    outbox.table(metadata)
    inbox.tables(metadata)
    return metadata


def with_outbox(scratch) -> sa.Engine:
    """Return a new database with an outbox and nothing else."""
    from shared import db, outbox

    metadata = db.metadata()
    outbox.table(metadata)
    return scratch(metadata)

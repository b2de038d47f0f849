"""What has to be done once a database has come back without the last of what it had said to others.

Its numbers go on further up, and it is said from where on the other services are to tell again what
it no longer remembers. What others hold that it alone knew is the doctor's to find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from shared import db, lives
from shared.messages import events
from shared.settings import role

MARGIN = timedelta(days=1)
"""How long a message may have been under way before the last moment that the database remembers."""


class InUse(Exception):
    """Somebody is connected to the database, and may be handing out numbers that are not to come back."""


def begin(url: str, service: str, services: Sequence[str]) -> Iterator[str]:
    """Let the database of a service at `url` begin a new life, and yield what was done, line by line.

    `services` are those of the installation.

    It may be done again, also where it was stopped in the middle.

    Raises:
        InUse: The service, or anybody else, is connected. Nothing was done.

    """
    engine = db.connect(url)
    try:
        with engine.begin() as tx:
            cursor = tx.connection.cursor()
            if connected := lives.others(cursor):
                raise InUse(f"{service}: {connected} connections to its database; stop the service first")
            life = lives.begin(cursor, put_back=True)
            known_until = tx.execute(_KNOWN_UNTIL).scalar_one()
        yield f"{service}: a new life; {len(life.sequences)} sequences go on further up"
        yield from _still_to_do(service, services, known_until)
    finally:
        engine.dispose()


_KNOWN_UNTIL = sa.text("""
    SELECT coalesce(
        (SELECT created_at FROM outbox ORDER BY id DESC LIMIT 1),
        (SELECT min(began_at) FROM lives))""")
"""An instant from which on it may have lost something; not later than the first loss."""


def publishers_to(service: str, services: Sequence[str]) -> list[str]:
    """Return the services of an installation whose events a service consumes."""
    heard = {event.publisher for event in events().values() if role(service) in event.consumers}
    return sorted(one for one in services if role(one) in heard)


def _still_to_do(service: str, services: Sequence[str], known_until: datetime) -> Iterator[str]:
    """Say how what the service has heard and lost is told to it again; to whoever knows it, it is no news."""
    since = f"{known_until - MARGIN:%Y-%m-%dT%H:%MZ}"
    lost = f"what came after {known_until:%Y-%m-%d %H:%M:%S} UTC"
    yield f"{service} may have lost {lost}. Once all services run:"
    for publisher in publishers_to(service, services):
        yield f"  tuanqiao outbox republish {publisher} --since {since}"
    yield "  tuanqiao doctor --repair"

"""What the service of a bridge does by itself."""

from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from services.federation import service, store
from shared import clock, db
from tests.federation.factories import DAY

pytestmark = pytest.mark.usefixtures("today")


def test_when_the_directory_is_read(here):
    """At first, once a day, and once when somebody has asked for it."""
    read = []

    def reading() -> None:
        read.append(clock.now())
        now = "INSERT INTO readings (begun_at, ended_at) VALUES (:now, :now)"
        with here.engine.begin() as tx:
            tx.execute(sa.text(now), {"now": read[-1]})

    machinery = SimpleNamespace(
        database=db.Database(here.engine), reader=SimpleNamespace(bridge=here.bridge, read=reading)
    )

    def reads() -> int:
        before = len(read)
        service.read_directory(machinery)
        service.read_directory(machinery)
        return len(read) - before

    assert reads() == 1 and reads() == 0
    with here.engine.begin() as tx:
        store.read_anew(tx, clock.now())
    assert reads() == 1 and reads() == 0
    with here.engine.begin() as tx:
        tx.execute(sa.text("UPDATE readings SET ended_at = ended_at - :day"), {"day": DAY})
    assert reads() == 1

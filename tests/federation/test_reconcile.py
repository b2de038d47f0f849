"""What differs between both sides is found, all of it and nothing else; what may be mended is mended."""

from datetime import date, timedelta

import msgspec
import pytest
import requests
import sqlalchemy as sa
from werkzeug.wrappers import Response

from services.federation import calling, door, envelope, manifests, reconcile
from services.federation.calling import Address, Caller, NoAnswer
from services.federation.courier import Courier
from services.federation.differences import REPAIRS, Difference, Kind
from services.federation.door import Allowance
from services.federation.handovers import Deed, perform
from services.federation.protocol import SENDS, Act, Receiver, Sender
from services.federation.reconcile import Reconciler
from services.federation.schemas import OUTCOMES, Lines, Manifest
from shared import clock, db
from tests.federation.factories import DAY, End, example, sent_states, served

pytestmark = pytest.mark.usefixtures("today")
EACH = 20


def do(end: End, act: Act, subjects: list[str]) -> None:
    """Do one act for many transfers in one transaction."""
    step = next(step for (_, one), step in SENDS.items() if one is act)
    data = example(step.says) if step.says else None
    with end.engine.begin() as tx:
        assert all(perform(tx, end.bridge, [Deed(one, act, data) for one in subjects], end.now))


def carry(one: End, other: End) -> None:
    said = one.said()
    for at in range(0, len(said), 100):
        other.hear(*said[at : at + 100])
    sent_states(one, "receipted")


def write(end: End, text: str, subjects: list[str]) -> None:
    with end.engine.begin() as tx:
        tx.execute(sa.text(f"{text} WHERE subject = ANY(:subjects)"), {"subjects": subjects})


@pytest.fixture
def url(there):
    with served(door.app(there.bridge, db.Database(there.engine), Allowance(1e6, 1e6))) as address:
        yield address


@pytest.fixture
def reconciler(here, url):
    return Reconciler(here.bridge, db.Database(here.engine), Caller(Address(url)), 0.0)


@pytest.fixture
def subjects(here, there) -> list[str]:
    """Transfers that have been accepted there, with two messages of ours and one of theirs."""
    made = [f"national:{number}" for number in range(1, EACH * (len(Kind) + 1) + 1)]
    do(here, Act.OFFER, made)
    do(here, Act.ASK, made)
    carry(here, there)
    do(there, Act.ACCEPT, made)
    carry(there, here)
    return made


def before_last(end: End, subjects: list[str]) -> None:
    """Let an end forget the last message that it has heard."""
    with end.engine.begin() as tx:
        last = " AND (subject, seq) IN (SELECT subject, their_seq FROM handovers)"
        for table in ("received", "receipts"):
            tx.execute(sa.text(f"DELETE FROM {table} WHERE subject = ANY(:some){last}"), {"some": subjects})
        tx.execute(
            sa.text(
                "UPDATE handovers h SET their_seq = their_seq - 1, their_head = coalesce((SELECT sha256 FROM"
                " received r WHERE r.subject = h.subject AND r.seq = h.their_seq - 1), '')"
                " WHERE subject = ANY(:some)"
            ),
            {"some": subjects},
        )


def forget(end: End, subjects: list[str]) -> None:
    for table in ("handovers", "received", "receipts", "sent"):
        write(end, f"DELETE FROM {table}", subjects)


PLANTED = {
    Kind.MISSING_HERE: lambda here, there, some: forget(here, some),
    Kind.MISSING_THERE: lambda here, there, some: forget(there, some),
    Kind.BEHIND_HERE: lambda here, there, some: before_last(here, some),
    Kind.BEHIND_THERE: lambda here, there, some: before_last(there, some),
    Kind.LOST_HERE: lambda here, there, some: write(here, "UPDATE handovers SET our_seq = 1", some),
    Kind.LOST_THERE: lambda here, there, some: write(there, "UPDATE handovers SET our_seq = 0", some),
    Kind.CHAIN: lambda here, there, some: write(
        here, "UPDATE handovers SET our_head = repeat('0', 64)", some
    ),
    Kind.STATE: lambda here, there, some: write(here, "UPDATE handovers SET state = 'handover'", some),
    Kind.ACTIVE_TWICE: lambda here, there, some: write(there, "UPDATE handovers SET state = 'taken'", some),
    Kind.ACTIVE_NOWHERE: lambda here, there, some: write(here, "UPDATE handovers SET state = 'moved'", some),
}


def test_planted_differences_are_found_and_mended(here, there, subjects, reconciler, url):
    """Twenty of each kind, written into either side's database: all are found, none is invented.

    What lacks there comes again by our own messages; what a person has to decide stays.
    """
    planted: dict[Kind, set[str]] = {}
    for number, (kind, plant) in enumerate(PLANTED.items()):
        some = subjects[number * EACH : (number + 1) * EACH]
        planted[kind] = set(some)
        plant(here, there, some)
    today = clock.day_of(here.now)

    result = reconciler.day(today)

    assert by_kind(result.differences) == planted
    assert result.transfers == len(subjects) - EACH

    courier = Courier(here.bridge, db.Database(here.engine), Address(url))
    while courier.turn() == 0:
        pass
    carry(there, here)  # the peer does the same with its own
    del planted[Kind.BEHIND_THERE], planted[Kind.BEHIND_HERE]
    # the offers are there again, but what had been said to them is not
    planted[Kind.LOST_THERE] |= planted.pop(Kind.MISSING_THERE)
    assert by_kind(reconciler.day(today).differences) == planted


def by_kind(found: list[Difference]) -> dict[Kind, set[str]]:
    kinds = {one.kind for one in found}
    return {kind: {one.subject for one in found if one.kind is kind} for kind in kinds}


def test_clean(here, there, subjects, reconciler):
    """Both sides say the same, in one request: no line is asked for."""
    today = clock.day_of(here.now)
    with here.engine.begin() as tx:
        ours = manifests.buckets(tx, today)
    with there.engine.begin() as tx:
        theirs = manifests.buckets(tx, today)

    result = reconciler.day(today)

    assert ours == theirs and sum(one.count for one in ours) == len(subjects)
    assert (result.transfers, result.differences) == (len(subjects), [])
    assert reconciler.day(today - DAY) == (today - DAY, 0, [])


def test_every_step_of_a_hand_over_is_the_same_on_both_sides(here, there, reconciler):
    """Whenever everything that was said has been heard, both manifests are equal."""
    today, some = clock.day_of(here.now), ["national:1"]
    for end, other, what in (
        (here, there, Act.OFFER),
        (there, here, Act.TELL),
        (there, here, Act.ACCEPT),
        (here, there, Act.HAND_OVER),
        (there, here, Act.TAKE),
    ):
        do(end, what, some)
        assert [one.kind for one in reconciler.day(today).differences] != []
        carry(end, other)
        assert reconciler.day(today).differences == [], what


def test_what_is_on_its_way_is_no_difference(here, there):
    """What differs at the first look and no more at the second was on its way."""
    do(here, Act.OFFER, ["national:1"])
    application = door.app(there.bridge, db.Database(there.engine))
    asked = []

    def late(environ, start_response):
        asked.append(environ["PATH_INFO"])
        if len(asked) == 3:
            carry(here, there)
        return application(environ, start_response)

    with served(late) as url:
        reconciler = Reconciler(here.bridge, db.Database(here.engine), Caller(Address(url)), 0.0)
        assert reconciler.day(clock.day_of(here.now)).differences == []
    assert len(asked) == 3


def test_differences_are_kept(here, there, subjects, reconciler):
    """What was found stays with its dates, is gone when it is found no more, and new when it comes back."""
    today, one = clock.day_of(here.now), subjects[:1]
    rows = "subject, kind, 1 AS seq, gone_at IS NULL, seen_at > found_at"
    write(there, "UPDATE handovers SET state = 'taken'", one)
    reconciler.day(today)
    reconciler.day(today)
    assert here.rows(rows, "differences") == [(one[0], "active_twice", 1, True, True)]
    write(there, "UPDATE handovers SET state = 'awaited'", one)
    reconciler.day(today)
    assert here.rows(rows, "differences") == [(one[0], "active_twice", 1, False, True)]
    write(there, "UPDATE handovers SET state = 'taken'", one)
    reconciler.day(today)
    assert here.rows(rows, "differences") == [(one[0], "active_twice", 1, True, False)]
    with here.engine.begin() as tx:
        noted = tx.execute(sa.text("SELECT day, transfers, differing FROM reconciliations")).all()
        assert [tuple(row) for row in noted] == [(today, len(subjects), 1)]


def test_which_days(here):
    """Days of late, and older ones while a transfer of theirs is open."""
    today = clock.day_of(here.now)
    do(here, Act.OFFER, ["national:1", "national:2", "national:3"])
    do(here, Act.CALL_OFF, ["national:2"])
    write(here, f"UPDATE handovers SET day = '{today - 50 * DAY}'", ["national:1"])
    write(here, f"UPDATE handovers SET day = '{today - 60 * DAY}'", ["national:2"])

    with here.engine.begin() as tx:
        assert reconcile.days(tx, today - 40 * DAY) == [today - 50 * DAY, today]


def ask(url: str, end: End, path: str) -> requests.Response:
    shown = {"Authorization": f"Bearer {calling.token(end.bridge, path)}"}
    return requests.get(f"{url}{path}", headers=shown, timeout=10)


def test_manifests_over_http(here, there, subjects, url):
    """A manifest is signed, for the peer alone; days and buckets that are none are not there."""
    today = clock.day_of(here.now)
    path = f"/bridge/v1/manifest/{today}"
    assert requests.get(f"{url}{path}", timeout=10).status_code == 401
    assert requests.head(f"{url}{path}", timeout=10).status_code == 401

    text = ask(url, here, path).json()["manifest"]
    payload, _ = envelope.verified(text, envelope.MANIFEST, here.bridge.keys.ring(), envelope.LONGEST)
    found = msgspec.json.decode(payload, type=Manifest)
    name = found.buckets[0].name
    text = ask(url, here, f"{path}/{name}").json()["manifest"]
    payload, _ = envelope.verified(text, envelope.MANIFEST, here.bridge.keys.ring(), envelope.LONGEST)
    lines = msgspec.json.decode(payload, type=Lines)

    assert (found.source, found.day, lines.bucket) == ("BJ", today, name)
    assert len(lines.lines) == found.buckets[0].count
    for wrong in ("2026-13-01", "today", f"{today}/zz", f"{today}/0", f"{today}/AB"):
        assert ask(url, here, f"/bridge/v1/manifest/{wrong}").status_code == 404


def test_a_manifest_of_somebody_else(here, there):
    """What is not signed by the peer, for us, for that day, now, is no manifest."""
    today = clock.day_of(here.now)

    said = [""]

    def liar(environ, start_response):
        return Response(msgspec.json.encode({"manifest": said[0]}))(environ, start_response)

    right = {"source": "BJ", "dest": "national", "day": str(today), "buckets": []}
    right["time"] = clock.now().isoformat()
    theirs, own = (end.bridge.keys.ring().signing(end.now) for end in (there, here))
    with served(liar) as url:
        reconciler = Reconciler(here.bridge, db.Database(here.engine), Caller(Address(url)), 0.0)
        for key, kind, change in (
            (own, envelope.MANIFEST, {}),
            (theirs, envelope.RECEIPT, {}),
            (theirs, envelope.MANIFEST, {"source": "GD"}),
            (theirs, envelope.MANIFEST, {"dest": "GD"}),
            (theirs, envelope.MANIFEST, {"day": str(today - DAY)}),
            (theirs, envelope.MANIFEST, {"time": (clock.now() - timedelta(hours=1)).isoformat()}),
            (theirs, envelope.MANIFEST, {"buckets": [{"name": "00", "count": -1, "digest": ""}]}),
        ):
            said[0] = envelope.sign(key, kind, msgspec.json.encode({**right, **change}))
            with pytest.raises(NoAnswer):
                reconciler.day(today)
        said[0] = envelope.sign(theirs, envelope.MANIFEST, msgspec.json.encode(right))
        assert reconciler.day(today) == (today, 0, [])


def test_a_large_day(here, there, reconciler):
    """A bucket of a thousand lines is signed, sent and read."""
    numbers = "(SELECT 'national:' || n AS subject FROM generate_series(1, 300000) AS n) AS s"
    many = f"""
        INSERT INTO handovers
            (subject, side, state, heard, our_seq, our_head, their_seq, their_head, since, day)
        SELECT subject, 'receiver', 'deciding', '{{}}', 0, '', 1, repeat('a', 64), now(), '2026-07-01'
        FROM {numbers} WHERE {manifests._BUCKET} = '00' LIMIT 1000"""
    with there.engine.begin() as tx:
        tx.execute(sa.text(many))

    assert len(reconciler.day(date(2026, 7, 1)).differences) == 1000


def test_words():
    """Every state has an outcome, and every kind of difference a proposal."""
    assert set(OUTCOMES) == {*Sender, *Receiver} and set(REPAIRS) == set(Kind)
    assert {kind for kind, repair in REPAIRS.items() if repair.at_once} == {
        Kind.MISSING_THERE,
        Kind.BEHIND_THERE,
    }

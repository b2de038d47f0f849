"""Our end of a bridge and GD's program, which is slow, goes away, and hangs up after its commit."""

import json
import signal
import time

import pytest
import sqlalchemy as sa
from werkzeug.wrappers import Response

from services.federation import models
from services.federation.calling import Address, Caller, NoAnswer
from services.federation.directory import KINDS, TRIES, Reader
from services.federation.protocol import Act, Word
from services.federation.reconcile import Reconciler
from shared import clock
from shared.messages.words import OrgKind
from tests.federation.factories import End, served
from tests.federation.neighbours import Neighbours

COME = 12
PATIENCE = 60.0


@pytest.fixture
def both(scratch, tmp_path, request):
    faults, transfers = request.param
    options = {"speed": 20_000, "faults": faults, "transfers": transfers, "every": 600, "members": 60}
    made = Neighbours(scratch(models.metadata), tmp_path, "GD", **options, typed="湖北省武汉市某街道团工委")
    yield made
    made.program.end(signal.SIGKILL)


def decide(end: End) -> None:
    """Let our people take whoever comes."""
    end.now = clock.now()
    with end.engine.begin() as tx:
        rows = tx.execute(sa.text("SELECT subject, state, heard FROM handovers ORDER BY subject")).all()
    for row in rows:
        if row.state == "deciding":
            end.act(row.subject, Act.ACCEPT)
        elif row.state == "awaited" and Word.RECORD in row.heard:
            end.act(row.subject, Act.TAKE)


def moved(end: End) -> list[str]:
    with end.engine.begin() as tx:
        return list(tx.scalars(sa.text("SELECT subject FROM handovers WHERE state IN ('taken', 'refused')")))


@pytest.mark.parametrize("both", [("busy,hangup,early,slow", COME)], indirect=True)
def test_members_come_from_gd(both):
    """Whatever becomes of requests and answers, all who were to come have come, and both sides say so."""
    end = both.end
    with served(both.door(), port=both.ports[0]):
        both.program.start()
        courier = both.courier()
        began = time.monotonic()
        while len(moved(end)) < COME and time.monotonic() - began < PATIENCE:
            decide(end)
            if courier.turn():
                with end.engine.begin() as tx:  # half a minute of waiting is long enough
                    tx.execute(sa.text("UPDATE line SET probe_at = NULL"))
                    tx.execute(sa.text("UPDATE sent SET next_at = said_at WHERE state = 'waiting'"))
                time.sleep(0.05)
        assert len(moved(end)) == COME
        assert end.rows("why", "quarantine") == []
        reconciler = Reconciler(end.bridge, both.database, Caller(Address(both.url)), 1.0)
        while time.monotonic() - began < PATIENCE:
            courier.turn()
            with_patience = reconciled(reconciler)
            if with_patience == []:
                break
            time.sleep(0.2)
        assert with_patience == []


def reconciled(reconciler: Reconciler) -> list | None:
    """Return what differs; None where GD was too busy to say."""
    try:
        return reconciler.day(clock.today()).differences
    except NoAnswer:
        return None


def told(end: End) -> list[dict]:
    with end.engine.begin() as tx:
        bodies = tx.scalars(sa.text("SELECT body FROM outbox WHERE topic = 'directory_read' ORDER BY id"))
        return [item for body in bodies for item in json.loads(body)]


@pytest.mark.parametrize("both", [("", 0)], indirect=True)
def test_its_directory_is_read(both):
    """Every organisation of the peer is told with its superior, in pages of one reading."""
    both.program.start()
    reader = Reader(both.end.bridge, both.database, Caller(Address(both.url)), 7)

    counts = [reader.read(), reader.read()]

    pages = told(both.end)
    assert [page["reading"] for page in pages] == sorted(page["reading"] for page in pages)
    first = [page for page in pages if page["reading"] == pages[0]["reading"]]
    assert [page["page"] for page in first] == list(range(len(first))) and len(first) > 1
    assert [page["last"] for page in first] == [False] * (len(first) - 1) + [True]
    assert all(page["whole"] and page["peer"] == "GD" for page in pages)
    orgs = {one["code"]: one for page in first for one in page["orgs"]}
    assert counts == [len(orgs)] * 2
    assert {one["kind"] for one in orgs.values()} == {"leading_body", "committee", "general_branch", "branch"}
    assert [one["code"] for one in orgs.values() if not one["parent_code"]] == ["1"]
    assert all(one["parent_code"] in orgs for one in orgs.values() if one["parent_code"])
    with both.end.engine.begin() as tx:
        whole = tx.scalars(sa.text("SELECT ended_at IS NOT NULL AND version <> '' FROM readings"))
        assert list(whole) == [True, True]


@pytest.mark.parametrize("both", [("rename", 0)], indirect=True)
def test_a_directory_that_changes_is_read_anew(both):
    """What was told of a reading that was broken off has no last page; the next has a higher number."""
    both.program.start()
    reader = Reader(both.end.bridge, both.database, Caller(Address(both.url)), 20)
    for _ in range(20):
        try:
            reader.read()
        except NoAnswer as error:
            assert str(error) == "a directory that changes all the time"
        readings: dict[int, list[dict]] = {}
        for page in told(both.end):
            readings.setdefault(page["reading"], []).append(page)
        whole = [number for number, pages in readings.items() if pages[-1]["last"]]
        if 1 < len(whole) < len(readings):
            break

    assert 1 < len(whole) < len(readings) <= 20 * TRIES
    assert {len(readings[number]) for number in whole} == {len(readings[whole[0]])}


ORG = {"code": "1", "parent": "", "kind": "branch", "name": "某团支部"}


@pytest.mark.parametrize("both", [("", 0)], indirect=True)
@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"version": "1", "orgs": [ORG], "next": "1"}, "a directory that leads in a circle"),
        ({"version": "1", "orgs": [{**ORG, "name": "a\nb"}], "next": None}, "an answer that is no page"),
        ({"version": "1", "orgs": [{**ORG, "code": 1}], "next": None}, "an answer that is no page"),
        ({"version": "1", "orgs": [ORG] * 501, "next": None}, "an answer that is no page"),
        ([], "an answer that is no page"),
    ],
)
def test_a_directory_that_is_none(both, said, why):
    """What is no page of a directory is not told, and never ends a reading."""

    def liar(environ, start_response):
        return Response(json.dumps(said), mimetype="application/json")(environ, start_response)

    with served(liar) as url, pytest.raises(NoAnswer, match=why):
        Reader(both.end.bridge, both.database, Caller(Address(url))).read()

    assert not any(page["last"] for page in told(both.end))


def test_kinds():
    """A peer may say what an organisation is by our code or in Chinese."""
    assert {KINDS["branch"], KINDS["团支部"]} == {"branch"}
    assert {KINDS["省级团委"], KINDS["团的领导机关"]} == {"leading_body"}
    assert set(KINDS.values()) == set(OrgKind)

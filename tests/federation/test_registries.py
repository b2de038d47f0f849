"""The registries of other systems answer as docs/federation.md says, whoever's program it is."""

import contextlib
import json
import signal
import sqlite3
import time

import msgspec
import pytest
import requests

from services.federation import envelope, models
from services.federation.calling import Address, Caller
from services.federation.protocol import Act, Word
from services.federation.reconcile import Reconciler
from services.federation.schemas import Home, Offer, Record
from shared import clock
from tests.federation.factories import EXAMPLES, served
from tests.federation.neighbours import Neighbours
from tests.peers.gd.registry import check_digit

PATIENCE = 20.0
BRANCHES = {"BJ": "BJ-YY-1001", "GD": "7", "FJ": "闽-0007"}
LEADING = {"BJ": "BJ-0001", "GD": "2", "FJ": "闽-0002"}


@pytest.fixture(scope="module", params=["BJ", "GD", "FJ"])
def both(scratch, tmp_path_factory, request):
    """Our end, and a program whose people wait for somebody to play them; its door and ours are open."""
    folder = tmp_path_factory.mktemp(request.param)
    made = Neighbours(scratch(models.metadata), folder, request.param, speed=20_000, members=20, by_hand=True)
    made.program.start()
    with served(made.door(), port=made.ports[0]):
        yield made
    made.program.end(signal.SIGKILL)
    assert made.program.log.read_text() == ""


@pytest.fixture
def number(both, request):
    """A number of a transfer, and of a member, of this test's own."""
    both.nth = getattr(both, "nth", 0) + 10
    return both.nth


def offer(both, nth: int, to: dict | None = None, subject: str = "", person: str = "", **changed) -> str:
    """Offer a member of ours; return the subject."""
    subject = subject or f"national:{nth}"
    person = person or both.sealed("person+jwe", both.person(nth, subject, **changed))
    to = to or {"code": BRANCHES[both.end.bridge.peer], "name": "某团支部"}
    data = {**EXAMPLES[Word.OFFER.type], "person": person, "to_org": to}
    both.end.now = clock.now()
    assert both.end.act(subject, Act.OFFER, msgspec.convert(data, Offer))
    return subject


def hand_over(both, subject: str, record: str) -> None:
    both.end.now = clock.now()
    assert both.end.act(subject, Act.HAND_OVER, Record(record=record))


def until(both, subject: str, *states: str, can: str = "") -> dict:
    """Carry until a transfer stands there so, and what is to be done there may be done."""
    began, courier = time.monotonic(), both.courier()
    while True:
        courier.turn()
        case = both.cases().get(subject, {"state": "none", "can": []})
        if case["state"] in states and (not can or can in case["can"]):
            return case
        assert time.monotonic() - began < PATIENCE, case
        time.sleep(0.02)


def here(both, subject: str, state: str) -> None:
    """Wait until we have heard what it has said."""
    began = time.monotonic()
    while both.end.state(subject) != state:
        assert time.monotonic() - began < PATIENCE, both.end.state(subject)
        time.sleep(0.02)


def accepted(both, nth: int, **changed) -> str:
    """Offer somebody whom it accepts; return the subject."""
    subject = offer(both, nth, **changed)
    until(both, subject, "deciding")
    assert both.post("decide", subject=subject, decision="accept") == (200, {"done": True})
    began = time.monotonic()
    while not heard(both, subject, Word.ACCEPTED):
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.02)
    return subject


def heard(both, subject: str, word: Word) -> bool:
    return (subject, word.type.value) in both.end.rows("subject, type")


def aged(both, nth: int, years: int) -> str:
    """Return a number of somebody of this age."""
    seventeen = f"420100{clock.today().year - years}0101{nth:03d}"
    return seventeen + check_digit(seventeen)


UNFIT = [
    ({"number": "11010120050101001X"}, "identity_invalid"),
    ({"number": "1101012005"}, "identity_invalid"),
    ({"name": "王5"}, "name_invalid"),
    ({"number": 13}, "age_out_of_range"),
    ({"number": 28}, "age_out_of_range"),
    ({"subject": "national:1000"}, "identity_differs"),
]


@pytest.mark.parametrize(("changed", "reason"), UNFIT)
def test_who_cannot_come(both, number, changed, reason):
    """FED-14: each with its own reason; nobody has decided anything."""
    if isinstance(changed.get("number"), int):
        changed = {"number": aged(both, number, changed["number"])}

    person = both.person(number, f"national:{number}") | changed
    subject = offer(both, number, person=both.sealed("person+jwe", person))

    assert until(both, subject, "refused")["ended_with"] == reason
    here(both, subject, "kept")


def test_who_is_active_there(both, number):
    """FED-14: an ID number that is active there is refused, however it is written."""
    active = next(one for one in both.members().values() if one["state"] == "active")
    wide = active["number"].translate({ord(digit): chr(ord(digit) + 0xFEE0) for digit in "0123456789X"})

    subject = offer(both, number, number=f" {wide} ", name=active["name"])

    assert until(both, subject, "refused")["ended_with"] == "identity_active"


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ({"code": "9999", "name": "无"}, "unknown_target"),
        ({"name": "某地团委"}, "unknown_target"),
        (None, "target_not_allowed"),
    ],
)
def test_where_nobody_can_go(both, number, to, reason):
    """FED-06: a name or code that is not known, and a leading body."""
    to = to or {"code": LEADING[both.end.bridge.peer], "name": "团委"}

    subject = offer(both, number, to)

    assert until(both, subject, "refused")["ended_with"] == reason


def test_two_offers_of_one_person(both, number):
    """One transfer of a person may be open."""
    accepted(both, number)
    again = both.person(number, f"national:{number + 1}")

    subject = offer(both, number + 1, person=both.sealed("person+jwe", again))

    assert until(both, subject, "refused")["ended_with"] == "transfer_open"


def test_who_comes_goes_and_comes_again(both, number):
    """FED-14: who has left is made active again and not doubled; the record goes along."""
    subject = accepted(both, number)
    record = both.person(number, subject, ethnic_group="壮族", party=True, phone="13800000000")
    record["stays"] = [{"branch": "武汉一支部", "since": "2020-09-01", "until": "2024-06-30"}]
    hand_over(both, subject, both.sealed("record+jwe", record))
    until(both, subject, "awaited", can="accept")
    assert both.post("decide", subject=subject, decision="accept")[0] == 200
    here(both, subject, "moved")
    mine = both.members()[record["number"]]
    assert (mine["state"], mine["subject"], mine["name"]) == ("active", subject, record["name"])

    status, said = both.post("offer", member=mine["member"], to="湖北省武汉市某街道团工委", reason="")
    back = said["subject"]
    assert status == 200 and both.post("offer", member=mine["member"], to="x", reason="")[0] == 409
    here(both, back, "deciding")
    assert both.end.act(back, Act.ACCEPT)
    until(both, back, "handover", "moved")
    here_with_record(both, back)
    assert both.end.act(back, Act.TAKE)
    until(both, back, "moved")
    came = both.opened("record+jwe", data(both, back, "record")["record"])
    person = both.opened("person+jwe", data(both, back, "offer")["person"])
    assert (person.number, person.name) == (came.number, came.name) == (record["number"], record["name"])
    assert (came.subject, came.ethnic_group, came.party, came.phone) == (back, "壮族", True, "13800000000")
    assert [stay.branch for stay in came.stays] == ["武汉一支部", mine["organisation"]]
    assert both.members()[record["number"]]["state"] == "gone"

    third = accepted(both, number, subject=f"national:{number + 2}")
    hand_over(both, third, both.sealed("record+jwe", both.person(number, third)))
    until(both, third, "awaited", can="accept")
    both.post("decide", subject=third, decision="accept")
    here(both, third, "moved")
    now = both.members()[record["number"]]
    assert (now["state"], now["subject"]) == ("active", third)


def here_with_record(both, subject: str) -> None:
    began, courier = time.monotonic(), both.courier()
    while not heard(both, subject, Word.RECORD):
        courier.turn()
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.02)
    both.end.now = clock.now()


def data(both, subject: str, kind: str) -> dict:
    """Return what stood in a message of theirs."""
    (jws,) = [row[2] for row in both.end.rows("subject, type, jws") if row[:2] == (subject, kind)]
    return json.loads(envelope.payload_of(jws))["data"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"name": "王小明"}, "identity_differs"),
        ({"number": 20}, "identity_differs"),
        ({"subject": "national:1001"}, "record_unreadable"),
        ({"stays": "none"}, "record_unreadable"),
        ("as a person", "record_unreadable"),
        ("for another", "record_unreadable"),
    ],
)
def test_a_record_that_is_not_taken(both, number, changed, reason):
    """The member stays ours: the record is somebody else's, or cannot be read."""
    subject = accepted(both, number)
    content = both.person(number, subject)
    if changed == "as a person":
        record = both.sealed("person+jwe", content)
    elif changed == "for another":
        both.opening, kept = both.key(both.sealing), both.opening
        record = both.sealed("record+jwe", content)
        both.opening = kept
    else:
        if "number" in changed:
            changed = {"number": aged(both, number, changed["number"])}
        record = both.sealed("record+jwe", content | changed)

    hand_over(both, subject, record)

    assert until(both, subject, "back")["ended_with"] == reason
    here(both, subject, "kept")
    assert content["number"] not in both.members()


def test_the_desk_refuses_what_is_not_to_be_done(both, number):
    """Each with its status and code; nothing is done twice."""
    subject = offer(both, number)
    until(both, subject, "deciding")

    assert both.post("decide", subject="national:999999", decision="accept")[0] == 404
    assert both.post("decide", subject=subject, decision="withdraw") == (409, {"code": "not_now"})
    assert both.post("decide", subject=subject) == (422, {"code": "wrong_decision"})
    assert both.post("offer", member="nobody", to="x") == (404, {"code": "no_member"})
    assert both.post("nothing")[0] == 404
    assert both.post("decide", subject=subject, decision="refuse", reason="人数已满")[0] == 200
    assert both.post("decide", subject=subject, decision="refuse")[0] == 409
    here(both, subject, "kept")
    assert data(both, subject, "refused") | {"serial": ""} == {
        "reason": "other",
        "text": "人数已满",
        "serial": "",
    }
    mine = next(one for one in both.members().values() if one["state"] == "active")
    leaving = both.post("offer", member=mine["member"], to="湖北省武汉市某街道团工委")[1]["subject"]
    assert both.post("decide", subject=leaving, decision="withdraw")[0] == 200
    assert until(both, leaving, "kept")["ended_with"] == "withdrawn"


def test_who_is_sent_away_comes_back(both, number):
    """While it is paused the door is shut and nothing is sent; afterwards all goes on where it was."""
    assert both.post("pause") == (200, {"paused": True})
    subject = offer(both, number)
    courier = both.courier()
    courier.turn()
    assert both.cases().get(subject) is None
    assert (subject, "waiting") in both.end.rows("subject, state", "sent")

    with requests.Session() as browser:  # one connection, as a page has it
        assert browser.post(f"{both.desk}/resume", json={}, timeout=10).json() == {"paused": False}
        assert browser.get(f"{both.desk}/cases", timeout=10).json()["paused"] is False

    until(both, subject, "deciding")


def test_the_page_of_the_desk(both):
    """What the people see is a page; a page of somebody else cannot press its buttons."""
    page = requests.get(both.desk, timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    assert all(one["name"] in page.text for one in both.members().values())
    assert requests.post(f"{both.desk}/pause", data={"a": "b"}, timeout=10).status_code == 415
    assert requests.get(both.desk, headers={"Host": "example.org"}, timeout=10).status_code == 403


def test_where_members_are(both, number):
    """BEY-16: each says with whom its registry has a member, and a page at a time if there are many."""
    stayed = offer(both, number, {"code": "9999", "name": "无"})
    until(both, stayed, "refused")
    moved = accepted(both, number + 1)
    hand_over(both, moved, both.sealed("record+jwe", both.person(number + 1, moved)))
    until(both, moved, "awaited", can="accept")
    both.post("decide", subject=moved, decision="accept")
    here(both, moved, "moved")
    mine = both.members()[both.person(number + 1, moved)["number"]]
    assert mine["state"] == "active"

    def homes():
        reconciler = Reconciler(both.end.bridge, both.database, Caller(Address(both.url)))
        found = []
        while True:
            page = reconciler._page(clock.today(), found[-1].subject if found else "")
            found += page.lines
            if not page.more:
                return {one.subject: one.home for one in found}

    assert (homes()[stayed], homes()[moved]) == (Home.NOBODY, Home.RECEIVER)
    write = "UPDATE members SET state = 'gone' WHERE number = ?"
    with contextlib.closing(sqlite3.connect(both.program.file, timeout=30)) as file, file:
        file.execute(write, (mine["number"],))
    assert homes()[moved] is Home.SENDER

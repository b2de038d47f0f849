"""Where both registries have the members of a day: asked, shown, compared, put right."""

import json
from datetime import timedelta
from itertools import product

import msgspec
import pytest
import requests
import sqlalchemy as sa

from services.federation import calling, door, envelope, homes
from services.federation.calling import Address, Caller, NoAnswer
from services.federation.differences import OF_REGISTRIES, Kind
from services.federation.door import Allowance
from services.federation.protocol import Act
from services.federation.reconcile import TRIES, Reconciler, compare_homes
from services.federation.schemas import Home, HomeLine, Homes
from shared import clock, db
from shared.messages.members import HomeTold
from tests.federation.factories import DAY, End, mirror, sent_states, served

pytestmark = pytest.mark.usefixtures("today")
EACH = 20
LEFT = 42011


class Register:
    """A registry that answers whenever it is asked: who is where, by transfer, in the words of members."""

    def __init__(self, end: End) -> None:
        self.end, self.places, self.away = end, {}, False

    def wanted(self) -> list[dict]:
        """Return the questions to it that were not answered yet."""
        statement = "DELETE FROM outbox WHERE topic = 'home_wanted' RETURNING body"
        with self.end.engine.begin() as tx:
            return [one for body in tx.scalars(sa.text(statement)) for one in json.loads(body)]

    def answer(self) -> None:
        """Answer what was asked."""
        told = [
            HomeTold(
                subject=one["subject"],
                peer=one["peer"],
                asked_at=one["asked_at"],
                home=self.places.get(one["subject"], "nobody"),
            )
            for one in self.wanted()
        ]
        if told and not self.away:
            with self.end.engine.begin() as tx:
                homes.on_home_told(
                    tx, self.end.bridge, msgspec.convert(told, list[HomeTold], from_attributes=True)
                )


@pytest.fixture
def registers(here, there):
    """Both registries; each is asked after each commit of its bridge, as members is by its queue."""
    return Register(here), Register(there)


def database(register: Register) -> db.Database:
    made = db.Database(register.end.engine)
    made.after_commit = register.answer
    return made


@pytest.fixture
def url(there, registers):
    with served(door.app(there.bridge, database(registers[1]), Allowance(1e6, 1e6))) as address:
        yield address


@pytest.fixture
def reconciler(here, registers, url):
    return Reconciler(here.bridge, database(registers[0]), Caller(Address(url)), 0.0, 2.0, 0.0)


def later(end: End) -> None:
    """Let a minute pass since a registry has looked."""
    with end.engine.begin() as tx:
        minute = "interval '1 minute'"
        tx.execute(
            sa.text(f"UPDATE homes SET (asked_at, told_at) = (asked_at - {minute}, told_at - {minute})")
        )


def own(end: End, subject: str, person: int, branch: int = LEFT) -> None:
    """Let an end know whose transfer it is."""
    leaves = subject.startswith(end.bridge.me)
    table = "departures" if leaves else "arrivals"
    values = {"departures": "(:s, :p, :p, :b)", "arrivals": "(:s, gen_random_uuid(), :b, 1, '', '', :p)"}
    names = {
        "departures": "subject, transfer_id, person_id, org_id",
        "arrivals": "subject, command_id, source_branch_id, target_org_id, reason, remark, member_id",
    }
    with end.engine.begin() as tx:
        tx.execute(
            sa.text(f"INSERT INTO {table} ({names[table]}) VALUES {values[table]}"),
            {"s": subject, "p": person, "b": branch},
        )


def carry(one: End, other: End) -> None:
    said = one.said()
    for at in range(0, len(said), 100):
        other.hear(*said[at : at + 100])
    sent_states(one, "receipted")


@pytest.fixture
def ended(here, there, registers):
    """Transfers of ours and of theirs: even ones have moved their member, odd ones were refused."""
    ours = [f"national:{n}" for n in range(1, 2 * EACH + 11)]
    theirs = [f"BJ:{n}" for n in range(1, 2 * EACH + 11)]
    for sender, receiver, subjects in ((here, there, ours), (there, here, theirs)):
        for n, subject in enumerate(subjects):
            sender.act(subject, Act.OFFER)
            own(sender, subject, 1000 + n)
        carry(sender, receiver)
        for n, subject in enumerate(subjects):
            own(receiver, subject, 2000 + n)
            receiver.act(subject, Act.REFUSE if n % 2 else Act.ACCEPT)
        carry(receiver, sender)
        moved = subjects[::2]
        for subject in moved:
            sender.act(subject, Act.HAND_OVER)
        carry(sender, receiver)
        for subject in moved:
            receiver.act(subject, Act.TAKE)
        carry(receiver, sender)
        for register, is_mine in ((registers[sender is there], False), (registers[receiver is there], True)):
            register.places |= {one: "here" if is_mine == (one in moved) else "there" for one in subjects}
    return ours, theirs


@pytest.mark.rule("BEY-16")
def test_planted_differences_are_found_and_nothing_else(here, there, ended, registers, reconciler):
    """BEY-16: in either registry, of both kinds: all are found, none invented, and gone once put right."""
    today = clock.today()
    assert reconciler.day(today).differences == []
    right = [dict(one.places) for one in registers]
    planted = {Kind.MEMBER_TWICE: set(), Kind.MEMBER_NOWHERE: set()}
    for subjects in ended:
        for subject in subjects[:EACH]:
            here_has = registers[0].places[subject] == "here"
            # what lacks there is written away here, and the other way round
            register = registers[len(subject) % 2]
            has = here_has == (register is registers[0])
            register.places[subject] = ("there", "nobody")[len(subject) % 2] if has else "here"
            planted[Kind.MEMBER_NOWHERE if has else Kind.MEMBER_TWICE].add(subject)
    later(there)
    found = reconciler.day(today).differences
    assert {kind: {one.subject for one in found if one.kind is kind} for kind in OF_REGISTRIES} == planted
    assert len(found) == 2 * EACH

    for register, places in zip(registers, right, strict=True):
        register.places = places
    later(there)
    assert reconciler.day(today).differences == []
    with here.engine.begin() as tx:
        assert tx.scalar(sa.text("SELECT count(*) FROM differences WHERE gone_at IS NULL")) == 0


def test_who_moves_meanwhile_is_no_difference(here, ended, registers, reconciler):
    """What both say is only kept if they say it again when they are asked anew."""
    subject = ended[0][0]
    registers[0].places[subject] = "here"
    looks = []

    def once(*of_look):
        looks.append(of_look)
        if len(looks) == 2:
            registers[0].places[subject] = "there"
        registers[0].answer()

    reconciler.database.after_commit = once
    assert reconciler.day(clock.today()).differences == []
    assert len(looks) >= 2


@pytest.mark.parametrize(("ours", "theirs"), [*product(Home, Home)])
def test_each_pair(here, ours, theirs):
    """Exactly one has the member, or somebody else does: every other pair is shown."""
    for subject, mine, other in (
        ("national:1", Home.SENDER, Home.RECEIVER),
        ("BJ:1", Home.RECEIVER, Home.SENDER),
    ):
        found = compare_homes(
            here.bridge, [HomeLine(subject=subject, home=ours)], [HomeLine(subject=subject, home=theirs)]
        )
        if {ours, theirs} & {Home.ELSEWHERE, Home.MOVING}:
            expected = {}
        elif ours is mine:
            expected = {subject: Kind.MEMBER_TWICE} if theirs is other else {}
        else:
            expected = {} if theirs is other else {subject: Kind.MEMBER_NOWHERE}
        assert found == expected


def test_nobody_is_asked_twice_at_once(here, ended, registers):
    """What was asked lately is not asked again; an answer to an earlier question does not replace a later."""
    today, now = clock.today(), clock.now()
    with here.engine.begin() as tx:
        assert not homes.look_up(tx, here.bridge, today, now - DAY, now)
        assert not homes.look_up(tx, here.bridge, today, now - DAY, now)
    wanted = registers[0].wanted()
    assert sorted(one["subject"] for one in wanted) == sorted([*ended[0], *ended[1]])
    assert wanted[0].keys() == {"subject", "peer", "person_id", "asked_at"}
    old, new = (
        HomeTold(subject="national:1", peer="BJ", asked_at=at, home=home)
        for at, home in ((now - timedelta(seconds=9), "here"), (now, "there"))
    )
    with here.engine.begin() as tx:
        homes.on_home_told(tx, here.bridge, [new, old])
        homes.on_home_told(tx, here.bridge, [old])
        assert homes.lines(tx, today) == [HomeLine(subject="national:1", home=Home.RECEIVER)]


def test_over_http(here, there, ended, registers, url, monkeypatch):
    """Signed pages in one order, new when the first is asked for; no name, no number, no pseudonym."""
    monkeypatch.setattr(homes, "MOST_LINES", 30)
    today = clock.today()
    path = f"/bridge/v1/homes/{today}"

    def get(after=""):
        shown = {"Authorization": f"Bearer {calling.token(here.bridge, path)}"}
        return requests.get(f"{url}{path}", params={"after": after}, headers=shown, timeout=10)

    registers[1].away = True
    waits = get()
    assert (waits.status_code, waits.headers["Retry-After"]) == (503, "1")
    registers[1].away = False
    later(there)
    assert get().status_code == 503
    found = []
    while True:
        text = get(found[-1].subject if found else "").json()["manifest"]
        payload, _ = envelope.verified(text, envelope.MANIFEST, here.bridge.keys.ring(), envelope.LONGEST)
        page = msgspec.json.decode(payload, type=Homes)
        assert set(json.loads(payload)["lines"][0]) == {"subject", "home"}
        found += page.lines
        if not page.more:
            break
    assert [one.subject for one in found] == sorted([*ended[0], *ended[1]])
    assert get("x y").status_code == 422
    assert requests.get(f"{url}{path}", timeout=10).status_code == 401


@pytest.mark.parametrize("status", [404, 500])
def test_a_peer_that_does_not_show_it(here, ended, registers, reconciler, monkeypatch, status):
    """One without this page is compared in everything else; one that fails is asked again later."""
    asked = Caller.get

    def get(self, bridge, path, more=""):
        if "/homes/" in path:
            raise NoAnswer(f"HTTP {status}", status=status)
        return asked(self, bridge, path, more)

    monkeypatch.setattr(Caller, "get", get)
    registers[0].places[ended[0][0]] = "here"
    if status == 404:
        assert reconciler.day(clock.today()).differences == []
    else:
        with pytest.raises(NoAnswer):
            reconciler.day(clock.today())


def test_a_registry_of_ours_that_is_away(ended, registers, reconciler):
    """A day is not clean because nobody has looked: it is tried again later."""
    registers[0].away = True
    reconciler.patience = 0.3
    with pytest.raises(NoAnswer, match="our registry"):
        reconciler.day(clock.today())


@pytest.mark.rule("BEY-16")
def test_what_is_corrected(here, there, ended, registers, reconciler):
    """BEY-16: our registry is told where signed messages put its member, where it is ours that differs."""
    mirror(here, 1102, "BJ-DX-0001")
    object.__setattr__(here.bridge, "branches", lambda tx, codes: dict.fromkeys(codes, 1102))
    # moved there and kept here; came here and stayed there
    wrong = {"national:1": 1102, "national:2": LEFT, "BJ:2": LEFT}
    for subject in wrong:
        registers[0].places[subject] = "there" if registers[0].places[subject] == "here" else "here"
    registers[1].places["national:3"] = "there"
    assert {one.subject for one in reconciler.day(clock.today()).differences} == {*wrong, "national:3"}

    with here.engine.begin() as tx:
        assert homes.correct(tx, here.bridge, [*wrong, "national:3", "national:99"]) == set(wrong)
        told = tx.scalars(sa.text("SELECT body FROM outbox WHERE topic = 'home_corrected'")).all()

    assert {one["subject"]: one["branch_id"] for body in told for one in json.loads(body)} == wrong


@pytest.mark.parametrize(
    "answer",
    [
        NoAnswer("HTTP 429", wait=0.1, status=429),
        NoAnswer("HTTP 503", wait=0.1, status=503),
        NoAnswer("ProtocolError", broken_off=True),
    ],
    ids=str,
)
def test_a_peer_that_is_busy(ended, reconciler, monkeypatch, answer):
    """One that asks for a moment, or breaks off, again and again, is compared all the same, page by page."""
    asked, tries = Caller.get, []

    def get(self, bridge, path, more=""):
        tries.append(path)
        if len(tries) % 2:
            raise answer
        return asked(self, bridge, path, more)

    monkeypatch.setattr(Caller, "get", get)
    assert reconciler.day(clock.today()).differences == []


def test_a_peer_that_is_away(ended, reconciler, monkeypatch):
    """One that cannot be reached is asked a few times, not for as long as one that asks for a moment."""
    tries = []

    def get(self, bridge, path, more=""):
        tries.append(path)
        raise NoAnswer("NewConnectionError", broken_off=True)

    monkeypatch.setattr(Caller, "get", get)
    with pytest.raises(NoAnswer):
        reconciler.day(clock.today())
    assert len(tries) == TRIES


def test_a_peer_whose_pages_have_no_end(ended, reconciler, monkeypatch):
    """One that answers every question with the same page is not asked for ever."""
    page, asked = Reconciler._page, []

    def first(self, day, after):
        asked.append(after)
        return msgspec.structs.replace(page(self, day, ""), after=after, more=True)

    monkeypatch.setattr(Reconciler, "_page", first)
    with pytest.raises(NoAnswer, match="something else"):
        reconciler.day(clock.today())
    assert len(asked) == 2

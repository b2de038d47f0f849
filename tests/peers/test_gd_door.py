"""What GD does with what comes, by receipts that a stranger verifies with another library."""

import json
from pathlib import Path

import pytest

from tests.peers.factories import SCHEMA, Stranger, moment
from tests.peers.gd import jose, keys, moments, people, registry, state

BRANCH = "7"
ACCEPTABLE = "SELECT count(*) FROM orgs WHERE code = 7 AND kind IN (3, 4, 5)"


def seen(stranger: Stranger, receipt: str) -> tuple:
    """Return what a receipt says first."""
    said = stranger.opened(receipt)
    return said["status"], said.get("code"), said["expected_seq"]


def state_of(gd, number: int) -> str:
    """Return the state of a transfer of FJ's."""
    rows = gd.rows("SELECT state FROM transfers WHERE subject = ?", f"FJ:{number}")
    return rows[0][0] if rows else ""


def queries(stranger, number: int, first: int, count: int, prev: str) -> list[str]:
    """Return questions one after the other, chained."""
    messages = []
    for seq in range(first, first + count):
        data = {"about": "transfer", "heard_seq": 0}
        prev = stranger.message(number, seq, "query", data, prev)
        messages.append(prev)
    return messages


def test_a_message_that_comes_again_gets_its_first_receipt_byte_for_byte(gd, stranger):
    """Stored once and held once: both receipts stay as they were after everything has been applied."""
    offer = stranger.offer(1, BRANCH)
    [query] = queries(stranger, 1, 2, 1, offer)
    [held] = gd.hand_in(query)
    [stored] = gd.hand_in(offer)

    assert gd.hand_in(offer, query, offer) == [stored, held, stored]
    assert seen(stranger, held) == ("held", None, 1)
    assert seen(stranger, stored) == ("stored", None, 3)
    said = stranger.opened(stored)
    assert (said["of"], said["sha256"]) == ("FJ/FJ:1/1", jose.sha256(offer))
    assert (said["source"], said["dest"]) == ("GD", "FJ")


def test_another_message_of_the_same_id_is_refused(gd, stranger):
    """id_reused: the first one stays what it was."""
    gd.hand_in(stranger.offer(1, BRANCH))

    [receipt] = gd.hand_in(stranger.offer(1, BRANCH))

    assert seen(stranger, receipt) == ("refused", "id_reused", 2)
    assert len(gd.rows("SELECT id FROM heard")) == 1


def test_twenty_early_messages_wait_and_the_next_is_refused_until_there_is_room(gd, stranger):
    """too_many_held may be tried again: after the gap is closed it is stored."""
    offer = stranger.offer(1, BRANCH)
    early = queries(stranger, 1, 2, 21, offer)

    receipts = gd.hand_in(*early)

    assert {seen(stranger, receipt) for receipt in receipts[:20]} == {("held", None, 1)}
    assert seen(stranger, receipts[20]) == ("refused", "too_many_held", 1)
    assert gd.rows("SELECT count(*) FROM said") == [(0,)]
    [last] = gd.hand_in(offer) and gd.hand_in(early[20])
    assert seen(stranger, last) == ("stored", None, 23)
    assert gd.rows("SELECT count(*), min(type), max(type) FROM said") == [(21, "status", "status")]


COUNTED = [
    ("version", {"dataschema": "urn:tuanqiao:bridge:2.0"}),
    ("version", {"type": "greeting"}),
    ("wrong_field", {"dataschema": "urn:somebody:bridge:1.0"}),
    ("wrong_field", {"specversion": "0.3"}),
    ("wrong_field", {"data": []}),
    ("wrong_field", {"data": {"about": "weather", "heard_seq": 0}}),
    ("wrong_field", {"data": {"about": "transfer", "heard_seq": -1}}),
    ("wrong_field", {"data": {"about": "transfer", "heard_seq": True}}),
    ("wrong_field", {"data": {"about": "transfer"}}),
    ("wrong_field", {"prev": "no digest"}),
    ("wrong_field", {"expires": "2026-13-01T00:00:00Z"}),
    ("wrong_field", {"type": "query?"}),
    ("wrong_field", {"type": "called_off", "data": {"reason": "not here"}}),
    ("wrong_field", {"type": "called_off", "data": {"reason": "other", "text": "a\tb"}}),
    ("wrong_field", {"type": "record", "data": {"record": "a.b.c"}}),
    ("too_long", {"type": "called_off", "data": {"reason": "other", "text": "字" * 1001}}),
    ("too_long", {"type": "q" * 41}),
    ("too_long", {"data": {"about": "transfer" * 9, "heard_seq": 0}}),
    ("expired", {"expires": "2026-01-01T00:00:00Z"}),
]


@pytest.mark.parametrize(("code", "fields"), COUNTED)
def test_what_is_refused_for_good_does_not_hold_up_the_next(gd, stranger, code, fields):
    """Its number counts, whether it comes in its turn or early; the next one is applied."""
    offer = stranger.offer(1, BRANCH)
    bad = stranger.message(1, 2, "query", {"about": "transfer", "heard_seq": 0}, offer, **fields)
    end = stranger.message(1, 3, "called_off", {"reason": "withdrawn"}, bad)

    receipts = gd.hand_in(offer, bad, end)

    wanted = [("stored", None, 2), ("refused", code, 3), ("stored", None, 4)]
    assert [seen(stranger, receipt) for receipt in receipts] == wanted
    assert state_of(gd, 1) == "refused"
    early = stranger.message(2, 2, "query", {"about": "transfer", "heard_seq": 0}, **fields)
    assert [seen(stranger, one) for one in gd.hand_in(early)] == [("refused", code, 1)]
    assert [seen(stranger, one) for one in gd.hand_in(stranger.offer(2, BRANCH))] == [("stored", None, 3)]


UNREADABLE = [
    ("not_authentic", {"source": "BJ"}),
    ("not_authentic", {"dest": "BJ"}),
    ("not_authentic", {"time": "2020-01-01T00:00:00Z"}),
    ("malformed", {"time": "2026-11-27T08:00:00"}),
    ("malformed", {"id": "FJ/FJ:1/2"}),
    ("malformed", {"seq": 0, "id": "FJ/FJ:1/0"}),
    ("malformed", {"subject": "BJ:1", "id": "FJ/BJ:1/1"}),
    ("malformed", {"subject": "FJ:1/1"}),
    ("malformed", {"header": {"typ": "receipt+jws"}}),
    ("malformed", {"header": {"jku": "https://example.org/keys"}}),
]


@pytest.mark.parametrize(("code", "fields"), UNREADABLE)
def test_what_cannot_be_believed_or_read_leaves_nothing_behind(gd, stranger, code, fields):
    """Its number does not count; the right message of that number is stored afterwards."""
    bad = stranger.message(1, 1, "called_off", {"reason": "other"}, **fields)

    [receipt] = gd.hand_in(bad)

    assert seen(stranger, receipt) == ("refused", code, 0)
    assert gd.rows("SELECT count(*) FROM heard") == [(0,)]
    assert [seen(stranger, one)[0] for one in gd.hand_in(stranger.offer(1, BRANCH))] == ["stored"]


def test_one_changed_character_of_the_signature_is_not_authentic(gd, stranger):
    """And a field twice, whoever signed it, is no JSON of ours."""
    good = stranger.offer(1, BRANCH)
    head, body, signature = good.split(".")
    other = "A" if signature[0] != "A" else "B"
    twice = jose.unb64(body).replace(b'{"specversion"', b'{"seq": 2, "specversion"')

    changed, doubled = gd.hand_in(
        f"{head}.{body}.{other}{signature[1:]}", f"{head}.{jose.b64(twice)}.{signature}"
    )

    assert seen(stranger, changed) == ("refused", "not_authentic", 0)
    assert seen(stranger, doubled) == ("refused", "malformed", 0)
    assert stranger.opened(doubled)["of"] == ""


def test_a_message_from_the_future_is_taken_when_its_time_has_come(gd, stranger, monkeypatch):
    """clock: refused at first, stored when the same bytes come again later."""
    data = {"about": "transfer", "heard_seq": 0}
    early = stranger.message(1, 1, "query", data, time=moment(minutes=11))

    assert [seen(stranger, one) for one in gd.hand_in(early)] == [("refused", "clock", 1)]
    monkeypatch.setattr(moments, "ahead", 120.0)
    assert [seen(stranger, one) for one in gd.hand_in(early)] == [("stored", None, 2)]


def test_a_message_that_does_not_follow_the_one_before_is_shown_to_a_person(gd, stranger):
    """It is kept and receipted, and not applied."""
    offer = stranger.offer(1, BRANCH)
    end = stranger.message(1, 2, "called_off", {"reason": "withdrawn"}, "another message")

    assert [seen(stranger, one)[0] for one in gd.hand_in(offer, end)] == ["stored", "stored"]

    assert state_of(gd, 1) == "deciding"
    assert gd.rows("SELECT what FROM shown") == [("FJ/FJ:1/2: prev is not the message before",)]


def test_what_no_honest_peer_says_is_shown_to_a_person(gd, stranger):
    """`integrated` for a transfer that was never offered moves nobody."""
    data = {"branch": {"name": "福州第一支部"}, "at": moment()}
    claim = stranger.message(0, 1, "integrated", data, subject="GD:77")

    assert [seen(stranger, one) for one in gd.hand_in(claim)] == [("stored", None, 2)]

    assert gd.rows("SELECT what FROM shown") == [("FJ/GD:77/1: integrated in none",)]
    assert gd.rows("SELECT count(*) FROM members WHERE state <> 'active'") == [(0,)]


@pytest.mark.parametrize(("field", "value"), [("revoked_at", "set"), ("valid_until", "2026-01-01T00:00:00Z")])
def test_a_key_counts_for_what_was_signed_while_it_was_valid_unless_it_is_revoked(gd, stranger, field, value):
    """A revoked key counts for nothing, one that is not valid at `time` neither."""
    public = gd.desk.keys.theirs[jose.thumbprint(stranger.key)]
    public[field] = moment() if value == "set" else value

    [receipt] = gd.hand_in(stranger.offer(1, BRANCH))

    assert seen(stranger, receipt) == ("refused", "not_authentic", 0)


def test_es256_is_as_good_where_it_is_agreed(gd, stranger):
    """The peer's key says which algorithm is agreed."""
    stranger.key = keys.make("ES256")
    public = json.loads(json.dumps({name: value for name, value in stranger.key.items() if name != "d"}))
    gd.desk.keys.theirs[jose.thumbprint(public)] = public

    assert [seen(stranger, one)[0] for one in gd.hand_in(stranger.offer(1, BRANCH))] == ["stored"]


def awaited(gd, stranger, monkeypatch) -> tuple[int, str]:
    """Return a transfer that GD has accepted, and its offer."""
    offers = {number: stranger.offer(number, BRANCH) for number in range(1, 9)}
    assert gd.rows(ACCEPTABLE) == [(1,)]
    gd.hand_in(*offers.values())
    gd.turn(monkeypatch, 2)
    gd.turn(monkeypatch, 2)
    number = next(number for number in offers if state_of(gd, number) == "awaited")
    return number, offers[number]


def test_never_seen_binds(gd, stranger, monkeypatch):
    """Asked about a record that has not come, GD will not take it: it goes back when it comes."""
    number, offer = awaited(gd, stranger, monkeypatch)
    query = stranger.message(number, 2, "query", {"about": "record", "heard_seq": 0}, offer)
    gd.hand_in(query)
    assert state_of(gd, number) == "refused"

    gd.hand_in(stranger.record(number, 3, query))

    said = gd.rows("SELECT type FROM said WHERE subject = ? ORDER BY seq", f"FJ:{number}")
    assert [type_ for (type_,) in said] == ["progress", "accepted", "status", "sent_back"]
    assert state_of(gd, number) == "back"


def test_who_is_handed_over_is_a_member_once_however_often_the_record_comes(gd, stranger, monkeypatch):
    """Taken with the branch that was accepted for; a question about the record has it that it is taken."""
    number, offer = awaited(gd, stranger, monkeypatch)
    record = stranger.record(number, 2, offer)
    gd.hand_in(record, record)
    gd.turn(monkeypatch, 2)
    assert state_of(gd, number) == "taken"

    gd.hand_in(record, stranger.message(number, 3, "query", {"about": "record", "heard_seq": 0}, record))

    person = people.member(9, "FJ", number)["number"]
    assert gd.rows("SELECT state, subject FROM members WHERE number = ?", person) == [
        ("active", f"FJ:{number}")
    ]
    assert len(gd.rows("SELECT nth FROM stays WHERE number = ?", person)) == 1
    said = gd.rows("SELECT type, jws FROM said WHERE subject = ? ORDER BY seq DESC", f"FJ:{number}")
    assert [type_ for type_, _ in said[:2]] == ["status", "integrated"]
    assert jose.loads(jose.parts(said[0][1])[1])["data"]["state"] == "taken"


def test_two_offers_for_one_person_end_in_one_member(gd, stranger, monkeypatch):
    """The second is refused while the first is awaited, and as already a member afterwards."""
    member = people.member(9, "FJ", 1)
    offers = [stranger.offer(number, BRANCH, member) for number in range(1, 13)]
    gd.hand_in(*offers)
    gd.turn(monkeypatch, 2)
    gd.turn(monkeypatch, 2)

    ends = gd.rows("SELECT state, ended_with FROM transfers WHERE side = 'receiver'")

    assert [state for state, _ in ends].count("awaited") == 1
    assert ("refused", "transfer_open") in ends


def test_who_is_active_here_is_refused(gd, stranger, monkeypatch):
    """identity_active, whatever the chance says."""
    member = dict(people.member(5, "GD", 3))
    gd.hand_in(stranger.offer(1, BRANCH, member))
    gd.turn(monkeypatch, 2)
    gd.turn(monkeypatch, 2)

    assert gd.rows("SELECT state, ended_with FROM transfers WHERE side = 'receiver'") == [
        ("refused", "identity_active")
    ]


def test_an_organisation_that_is_not_there_or_takes_nobody_is_refused(gd, stranger, monkeypatch):
    """unknown_target, target_not_allowed; a seal for somebody else is wrong data."""
    sealed = jose.seal(
        keys.make("X25519"), registry.PERSON, registry.person("FJ:3", people.member(9, "FJ", 3))
    )
    gd.hand_in(stranger.offer(1, "999"), stranger.offer(2, "1"), stranger.offer(3, BRANCH, person=sealed))
    gd.turn(monkeypatch, 2)
    gd.turn(monkeypatch, 2)

    ends = gd.rows("SELECT ended_with FROM transfers WHERE side = 'receiver' ORDER BY subject")

    assert ends == [("unknown_target",), ("target_not_allowed",), ("wrong_data",)]


def test_no_identity_number_is_in_what_is_printed(gd):
    """The printed state has fingerprints in place of numbers."""
    printed = json.dumps(state.read(Path(gd.file.file)))

    numbers = [number for (number,) in gd.rows("SELECT number FROM members")]
    assert len(numbers) == 30
    assert not [number for number in numbers if number in printed]
    assert SCHEMA not in printed


def test_what_cannot_be_signed_has_not_happened(gd, stranger, monkeypatch):
    """State, message and receipt are one transaction: without a valid key none of them is there."""
    gd.turn(monkeypatch, 0.1)
    gd.hand_in(stranger.offer(1, BRANCH))
    before = [
        gd.rows(f"SELECT * FROM {name}") for name in ("transfers", "heard", "said", "members", "settings")
    ]
    valid = [key["valid_until"] for key in gd.desk.keys.own]
    for key in gd.desk.keys.own:
        key["valid_until"] = moment(minutes=-1)

    with pytest.raises(ValueError):
        gd.hand_in(stranger.offer(2, BRANCH))
    with pytest.raises(ValueError):
        gd.turn(monkeypatch, 0.1)

    after = [
        gd.rows(f"SELECT * FROM {name}") for name in ("transfers", "heard", "said", "members", "settings")
    ]
    assert after == before
    for key, until in zip(gd.desk.keys.own, valid, strict=True):
        key["valid_until"] = until
    assert [seen(stranger, one)[0] for one in gd.hand_in(stranger.offer(2, BRANCH))] == ["stored"]

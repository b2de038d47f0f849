"""Who goes: what members and transfers tell becomes what is said to the peer."""

import json
from datetime import UTC, datetime

import pytest

from services.federation import envelope, leaving, telling
from services.federation.protocol import Act
from shared.messages.members import MemberOffered, RecordSealed
from shared.messages.transfers import CrossingEnded
from tests.federation.factories import ORG, SEALED, End, mirror

pytestmark = pytest.mark.usefixtures("today")
OURS = "national:7"
SOURCE, THERE, TOP = 88, 4711, 11


@pytest.fixture
def here(here) -> End:
    """Our end, which knows a branch of ours, one of the peer's, and the top of its tree."""
    here.bridge = telling.bridge_to("BJ", here.bridge.keys)
    mirror(here, SOURCE, None, system="national", name="某大学某学院第一团支部")
    mirror(here, THERE, ORG["code"])
    mirror(here, TOP, None, kind="leading_body", name="共青团北京市委员会")
    return here


def offered(**changed) -> MemberOffered:
    made = {
        "transfer_id": 7,
        "peer": "BJ",
        "source_branch_id": SOURCE,
        "target_org_id": THERE,
        "target_name": "",
        "reason": "employed_with_org",
        "started_at": datetime(2026, 7, 1, tzinfo=UTC),
        "answer_by": datetime(2026, 7, 11, tzinfo=UTC),
        "person": SEALED,
    }
    return MemberOffered(**{**made, **changed})


def ended(cause: str = "withdraw", code: str = "", note: str = "") -> CrossingEnded:
    return CrossingEnded(transfer_id=7, member_id=501, peer="BJ", cause=cause, code=code, note=note)


def tell(end: End, handle, *items) -> None:
    with end.engine.begin() as tx:
        handle(tx, end.bridge, list(items))


def said(end: End) -> list[tuple[str, dict]]:
    """Return type and data of what an end has said."""
    some = [json.loads(envelope.payload_of(one)) for one in end.said()]
    return [(one["type"], one["data"]) for one in some]


def test_an_offer(here, there):
    """FED-10: who in a seal, from where and to where by each side's own codes; told again it is one offer."""
    tell(here, leaving.on_member_offered, offered(), offered(person=SEALED + "x"))
    tell(here, leaving.on_member_offered, offered())
    ((kind, data),) = said(here)
    assert kind == "offer" and data["person"] == SEALED
    assert data["from_org"]["code"] == str(SOURCE) and data["to_org"]["code"] == ORG["code"]
    assert data["reason"] == "employed_with_org" and data["reason_text"]
    there.hear(*here.said())
    assert there.state(OURS) == "deciding"


def test_an_offer_to_a_typed_name(here):
    """FED-06: what was typed goes as typed, without a code; without a clock there is an end all the same."""
    typed = offered(target_org_id=TOP, target_name="北京某单位团委", answer_by=None)
    tell(here, leaving.on_member_offered, typed)
    ((_, data),) = said(here)
    assert data["to_org"] == {"code": "", "name": "北京某单位团委", "phone": ""} and data["answer_by"]


def test_an_organisation_that_is_not_known_yet(here):
    """Events of orgs may come later: the offer is tried again, and nothing is said."""
    with pytest.raises(LookupError):
        tell(here, leaving.on_member_offered, offered(source_branch_id=999))
    assert said(here) == []


def test_a_record(here, there):
    """FED-10: the record goes once the peer has accepted, and never before."""
    sealed = RecordSealed(transfer_id=7, peer="BJ", record=SEALED)
    tell(here, leaving.on_member_offered, offered())
    tell(here, leaving.on_record_sealed, sealed)
    assert len(said(here)) == 1
    there.hear(*here.said())
    there.act(OURS, Act.ACCEPT)
    here.hear(*there.said())
    tell(here, leaving.on_record_sealed, sealed, sealed)
    assert [kind for kind, _ in said(here)] == ["offer", "record"] and here.state(OURS) == "handover"
    tell(here, leaving.on_crossing_ended, ended())
    assert len(said(here)) == 2, "only the receiver ends it now"


@pytest.mark.parametrize(
    ("cause", "code", "reason"),
    [("withdraw", "", "withdrawn"), ("clock_return", "", "overdue"), ("reject", "wrong_data", "wrong_data")],
)
def test_called_off(here, there, cause, code, reason):
    """FED-09, DL-08: what ends here before it is handed over is called off there."""
    tell(here, leaving.on_member_offered, offered())
    tell(here, leaving.on_crossing_ended, ended(cause, code, "说明"))
    assert said(here)[1:] == [("called_off", {"reason": reason, "text": "说明"})]
    there.hear(*here.said())
    assert there.state(OURS) == "refused"


def test_ended_before_it_was_offered(here):
    """An end that overtakes the offer: nothing is ever said, since the member is not to come."""
    tell(here, leaving.on_crossing_ended, ended())
    tell(here, leaving.on_member_offered, offered())
    assert said(here) == [] and here.state(OURS) == "kept"

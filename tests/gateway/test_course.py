"""The course of a transfer across a border: its nodes there, and what the other system has said."""

from datetime import UTC, datetime
from types import SimpleNamespace

import flask
import msgspec
import pytest

from services.gateway.kit import language
from services.gateway.pages import course, own
from shared import clock
from shared.messages.transfers import NodeAhead, Progress, RemoteStep, Step, Transfer
from shared.messages.words import OnExpiry, Reason, TrailEvent, TransferState

NOON, LATER = (datetime(2027, 6, day, 4, tzinfo=UTC) for day in (1, 9))
THERE, CLASS = 11, 3
LEAVING = (TransferState.OUT, TransferState.REMOTE, TransferState.HANDOVER)
COMING = (TransferState.IN, TransferState.ARRIVAL)


@pytest.fixture(autouse=True)
def app():
    """A context in which texts have a language."""
    made = flask.Flask("course")
    language.prepare(made)
    with made.app_context():
        yield


def progress(path, node_no, state, *events, ended_at=None, end_code=""):
    """Return a transfer at a node of a path, after some events of its trail."""
    item = Transfer(
        **{
            **dict.fromkeys(Transfer.__struct_fields__, None),
            "transfer_id": 1,
            "initiator": "member",
            "source_branch_id": CLASS,
            "target_org_id": THERE,
            "reason": Reason("further_study"),
            "state": TransferState(state),
            "node_no": node_no,
            "created_at": NOON,
            "waiting_org_id": None if ended_at else THERE,
            "node_opened_at": None if ended_at else NOON,
            "expires_at": None if ended_at else NOON,
            "on_expiry": OnExpiry.RETURN,
            "ended_at": ended_at,
            "end_code": end_code,
            "end_note": "",
            "policy": "national@2026.1",
        }
    )
    ahead = [NodeAhead(node_no=n, state=one, org_id=THERE) for n, one in enumerate(path, start=1)]
    trail = [
        Step(seq=n, event=event, state=item.state, at=NOON, person_id=None, org_id=None, note="")
        for n, event in enumerate((TrailEvent.REQUESTED, TrailEvent.RESERVED, *events), start=1)
    ]
    return Progress(transfer=item, path=ahead, steps=trail, may_withdraw=False)


def shown(found):
    """Return the styles of a course, and the words below each step."""
    steps = course.steps(found, {}, {})
    return [step.style for step in steps], [" ".join(str(one) for one in step.lines) for step in steps]


@pytest.mark.parametrize(
    "path, node_no, events, words",
    [
        (LEAVING, 2, [TrailEvent.APPROVE], "已提交对方系统,等待答复"),
        (LEAVING, 3, [TrailEvent.APPROVE, TrailEvent.ACCEPTED], "档案已移交,等待对方接收"),
        (COMING, 2, [TrailEvent.APPROVE], "本系统已同意,等待对方移交档案"),
    ],
)
def test_what_is_waited_for(path, node_no, events, words):
    """FED-13: while another system has it, the course says what is waited for."""
    styles, lines = shown(progress(path, node_no, path[node_no - 1], *events))
    assert styles[node_no] == "open" and words in lines[node_no]
    assert styles[1:node_no] == ["done"] * (node_no - 1)


def test_at_whose_desk():
    """FED-13: the node of the other system says at whose desk it lies there, and whom to call."""
    found = progress(LEAVING, 2, "pending_remote", TrailEvent.APPROVE)
    desks = [
        RemoteStep(organisation="北京某大学团委", phone="010-6275", since=NOON, until=LATER),
        RemoteStep(organisation="北京某学院", phone="", since=LATER, until=None),
    ]
    step = course.steps(msgspec.structs.replace(found, remote=desks), {}, {})[2]
    assert step.lines[:2] == (
        (NOON, "北京某大学团委", "010-6275", "最迟", LATER),
        (LATER, "北京某学院"),
    )


def test_the_card_of_the_member(monkeypatch):
    """FED-13, BEY-02: the card says who has it over there, since when, whom to call; none is urged there."""
    monkeypatch.setattr(clock, "now", lambda: LATER)
    there = SimpleNamespace(short_name="北京", full_name="北京团市委", phone="010-1")
    found = progress(LEAVING, 2, "pending_remote", TrailEvent.APPROVE)
    card = own._now(found.transfer, {THERE: there}, course.desk(found))
    assert (card.title, card.phone, card.may_urge) == ("现在由北京办理,已等8天", "010-1", False)
    desk = RemoteStep(organisation="某学院", phone="010-2", since=NOON, until=None)
    found = msgspec.structs.replace(found, remote=[desk])
    card = own._now(found.transfer, {THERE: there}, course.desk(found))
    assert (card.title, card.phone) == ("现在由某学院办理,已等8天", "010-2")
    here = progress(LEAVING, 1, "pending_out")
    assert own._now(here.transfer, {THERE: there}, course.desk(here)).may_urge


@pytest.mark.parametrize(
    "path, events, state, styles, whose",
    [
        (
            LEAVING,
            ["approve", "refused_there"],
            "rejected",
            ["done", "failed", "ahead", "failed"],
            "对方系统",
        ),
        (
            LEAVING,
            ["approve", "accepted", "sent_back"],
            "rejected",
            ["done", "done", "failed", "failed"],
            "对方系统",
        ),
        (LEAVING, ["approve", "accepted", "integrated"], "completed", ["done"] * 4, "对方系统"),
        (COMING, ["approve", "called_off"], "withdrawn", ["done", "stopped", "stopped"], "对方系统"),
        (COMING, ["approve", "record_taken"], "completed", ["done"] * 3, "系统"),
        (COMING, ["approve", "record_refused"], "rejected", ["done", "failed", "failed"], "系统"),
        (COMING, ["approve", "given_up"], "rejected", ["done", "failed", "failed"], "系统"),
    ],
)
def test_how_it_ends(path, events, state, styles, whose):
    """FED-10: what the other system says closes its node, and the course names it."""
    events = [TrailEvent(one) for one in events]
    code = "" if state == "completed" else "record_unreadable"
    found, lines = shown(progress(path, len(events), state, *events, ended_at=NOON, end_code=code))
    assert found[1:] == styles
    assert "移交的档案无法读取" in lines[-1] or state == "completed"
    assert course.word(events[-1]) in lines[len(events)] and f"'{whose}'" in lines[len(events)]

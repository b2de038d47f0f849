"""The course of a transfer across a border: its nodes there, and what the other system has said."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import flask
import msgspec
import pytest

from services.gateway import kit
from services.gateway.kit import language
from services.gateway.pages import course, own
from shared import clock
from shared.messages.transfers import NodeAhead, Progress, RemoteStep, Step, Transfer
from shared.messages.words import OnExpiry, Reason, TrailEvent, TransferState

NOON, LATER = (datetime(2027, 6, day, 4, tzinfo=UTC) for day in (1, 9))
THERE, CLASS = 11, 3
LEAVING = (TransferState.OUT, TransferState.REMOTE, TransferState.HANDOVER)
CROSSED = (TrailEvent.APPROVE, TrailEvent.ACCEPTED, TrailEvent.INTEGRATED)
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
            "peer": "BJ",
            "target_name": "",
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
    found = msgspec.structs.replace(progress(path, node_no, path[node_no - 1], *events), receipted_at=NOON)
    styles, lines = shown(found)
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
    assert step.lines[2:4] == (
        (NOON, "北京某大学团委", "010-6275", "最迟", LATER),
        (LATER, "北京某学院"),
    )


def test_the_card_of_the_member(monkeypatch):
    """FED-13, BEY-02: the card says who has it over there, since when, whom to call; none is urged there."""
    monkeypatch.setattr(clock, "now", lambda: LATER)
    there = SimpleNamespace(short_name="团委", full_name="清华大学团委", phone="010-1", system="BJ")
    left = SimpleNamespace(short_name="1班", full_name="1班团支部", phone="027-1", system="national")
    orgs = {THERE: there, CLASS: left}
    found = progress(LEAVING, 2, "pending_remote", TrailEvent.APPROVE)
    assert own._now(found, orgs).title == "等待北京系统 · 清华大学团委签收,已等8天", (
        "it may not even be there"
    )
    found = msgspec.structs.replace(found, receipted_at=NOON)
    card = own._now(found, orgs)
    assert (card.title, card.phone, card.may_urge) == (
        "现在由北京系统 · 清华大学团委办理,已等8天",
        "010-1",
        False,
    )
    desk = RemoteStep(organisation="某学院", phone="010-2", since=NOON, until=None)
    card = own._now(msgspec.structs.replace(found, remote=[desk]), orgs)
    assert (card.title, card.phone) == ("现在由北京系统 · 某学院办理,已等8天", "010-2")
    there.phone = ""
    assert own._now(found, orgs).phone == "027-1", "nobody there has a number: whom one leaves is asked"
    here = progress(LEAVING, 1, "pending_out")
    assert own._now(here, orgs).may_urge and own._now(here, orgs).plain == ""


def test_the_card_without_an_open_node():
    """BEY-02: while the system checks, nobody has to decide, so nothing happens where nobody does."""
    here = progress(LEAVING, 1, "pending_out")
    assert own._now(here, {}).then == OnExpiry.RETURN.zh
    checking = msgspec.structs.replace(
        here.transfer, state=TransferState.CHECKING, node_opened_at=None, expires_at=None, on_expiry=None
    )
    assert own._now(msgspec.structs.replace(here, transfer=checking), {}).then == ""


def test_an_organisation_of_another_system_is_called_by_its_whole_name():
    """FED-08: what it is called for short over there says nothing here."""
    named = {"short_name": "第1支部", "full_name": "共青团晋江市陈埭镇第1支部委员会"}
    assert kit.name_here(SimpleNamespace(**named, system="FJ")) == named["full_name"]
    assert kit.name_here(SimpleNamespace(**named, system="national")) == "第1支部"


@pytest.mark.rule("FED-13")
@pytest.mark.parametrize(
    "path, node_no, receipted, words",
    [
        (LEAVING, 2, None, "申请已发往北京系统,对方还没有签收"),
        (LEAVING, 2, NOON, "申请已发往北京系统,正在等待对方审批"),
        (LEAVING, 3, NOON, "组织关系仍在原团支部"),
        (COMING, 2, None, "正在等待北京系统移交档案"),
    ],
)
def test_what_happens_now(monkeypatch, path, node_no, receipted, words):
    """FED-13: in plain words what happens over there now, and that there is nothing to do."""
    found = progress(path, node_no, path[node_no - 1], *[TrailEvent.APPROVE] * (node_no - 1))
    found = msgspec.structs.replace(found, receipted_at=receipted)
    monkeypatch.setattr(clock, "now", lambda: LATER)
    assert words in course.now_there(found, mine=True) and "您现在不用做什么" in course.now_there(found, True)
    assert "本系统现在不用办理" in course.now_there(found, mine=False)
    ended = progress(path, node_no, "rejected", ended_at=NOON)
    assert course.now_there(ended, mine=True) == ""


def test_no_receipt_for_a_while_is_no_silence(monkeypatch):
    """FED-13: on the first day nobody is told that the other system does not answer."""
    found = progress(LEAVING, 2, "pending_remote", TrailEvent.APPROVE)
    monkeypatch.setattr(clock, "now", lambda: NOON + course.UNANSWERED - timedelta(seconds=1))
    assert "没有签收" not in course.now_there(found, mine=True)
    assert "对方系统尚未签收,一直在重发" in shown(found)[1][2]
    assert "等待答复" not in shown(found)[1][2]


def test_what_crossed():
    """FED-13: sent, acknowledged and decided there, each with its time, by whom, at the end of the course."""
    found = progress(LEAVING, 3, "completed", *CROSSED, ended_at=NOON)
    desks = [RemoteStep(organisation="清华大学团委", phone="", since=NOON, until=None)]
    found = msgspec.structs.replace(found, remote=desks, receipted_at=LATER)
    step = course.steps(found, {}, {})[2]
    assert step.lines == (
        ("申请发往对方系统:", NOON),
        ("对方系统签收:", LATER),
        (NOON, "清华大学团委"),
        ("对方系统同意接收:", "北京系统 · 清华大学团委", NOON),
    )


def test_what_was_typed_is_shown_so():
    """FED-06: the node of another system bears the name that was typed, not that of the top of its system."""
    found = progress(LEAVING, 2, "pending_remote", TrailEvent.APPROVE)
    typed = msgspec.structs.replace(found.transfer, target_name="共青团某某公司委员会")
    steps = course.steps(msgspec.structs.replace(found, transfer=typed), {}, {})
    assert [step.typed for step in steps] == [(), (), *[("BJ", "共青团某某公司委员会")] * 2, ()]


@pytest.mark.parametrize(
    "path, events, state, styles, whose",
    [
        (
            LEAVING,
            ["approve", "refused_there"],
            "rejected",
            ["done", "failed", "ahead", "failed"],
            "北京系统",
        ),
        (
            LEAVING,
            ["approve", "accepted", "sent_back"],
            "rejected",
            ["done", "done", "failed", "failed"],
            "北京系统",
        ),
        (LEAVING, ["approve", "accepted", "integrated"], "completed", ["done"] * 4, "北京系统"),
        (COMING, ["approve", "called_off"], "withdrawn", ["done", "stopped", "stopped"], "北京系统"),
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


def test_why_it_ended():
    """Who reads why a transfer has ended is not asked to say why, as whoever rejects it is."""
    found = progress(LEAVING, 3, "rejected", *CROSSED[:2], ended_at=LATER, end_code="other")
    assert course.steps(found, {}, {})[-1].lines == (("其他原因",),)

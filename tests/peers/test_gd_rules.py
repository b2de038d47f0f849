"""GD's tables are those of the page."""

import re
from pathlib import Path

import pytest

from tests.peers.gd import rules

PAGE = Path(__file__).parents[2] / "docs" / "federation.md"
SEVERAL = re.compile(r"; after `record` nothing|; after `record` `status`")  # rules.hear says it in words


def table(head: str) -> list[list[str]]:
    """Return the cells below the table's head on the page."""
    lines = PAGE.read_text().partition(f"{head}\n")[2].splitlines()[1:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append([SEVERAL.sub("", cell).replace("`", "").strip() for cell in line.split("|")[1:-1]])
    return rows


def test_what_one_may_do_stands_on_the_page_so():
    """Every act with its state, message, end and conditions, and no other."""
    acts = table("| side | state | act | says | leads to | needs | not after |")

    assert len(acts) > 10
    assert sorted([*key, *rest] for key, rest in rules._ACTS.items()) == sorted(acts)


def test_what_is_heard_how_stands_on_the_page_so():
    """Every message in every state, and no other."""
    heard = table("| side | state | hears | leads to | answers |")
    own = [[*key, leads_to or "nothing", answer] for key, (leads_to, answer) in rules._HEARD.items()]

    assert len(heard) > 40
    assert sorted(own) == sorted(heard)


def transfer(side: str, state: str, *heard: str) -> dict:
    """Return a transfer that has heard so much."""
    return {"side": side, "state": state} | {
        f"heard_{name}": name in heard for name in ("accepted", "record", "never_seen")
    }


@pytest.mark.parametrize(
    ("act", "before", "after"),
    [
        ("hand_over", transfer("sender", "offered"), transfer("sender", "offered", "accepted")),
        ("release", transfer("sender", "handover"), transfer("sender", "handover", "never_seen")),
        ("take", transfer("receiver", "awaited"), transfer("receiver", "awaited", "record")),
        ("send_back", transfer("receiver", "awaited"), transfer("receiver", "awaited", "record")),
        ("give_up", transfer("receiver", "awaited", "record"), transfer("receiver", "awaited")),
    ],
)
def test_what_must_and_must_not_have_been_heard_before_an_act(act, before, after):
    """The same act in the same state is allowed or not by what was heard."""
    with pytest.raises(rules.NotAllowed):
        rules.act(before, act)
    assert rules.act(after, act).leads_to


def test_a_record_that_has_come_is_not_forsworn():
    """Asked about it, a receiver that has it and has not decided says where it stands."""
    without = rules.hear(transfer("receiver", "awaited"), "query_record")
    having = rules.hear(transfer("receiver", "awaited", "record"), "query_record")

    assert (without.leads_to, without.says) == ("refused", "never_seen")
    assert (having.leads_to, having.says) == ("awaited", "status")

"""The attacker machine in its short form, and that it finds what it is for."""

import json
import logging
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis.errors import FlakyFailure

from services.members import store
from services.members.accounts import resets
from services.members.entering import handlers as entering
from services.members.lists import handlers as lists
from services.members.posts import handlers as posts
from services.members.posts import store as posts_store
from services.transfers import domain
from services.transfers import handlers as transfers_handlers
from services.transfers.saga import Initiator
from shared import directory
from shared.errors import Refusal
from shared.messages import Command, Query, members, orgs, transfers
from tests.attack import machine, world
from tests.attack.machine import Attacker, Fault, run


@pytest.fixture(scope="module")
def nation(scratch, keys):
    """The nation on three databases of this module's own."""
    made = world.build({name: scratch(models.metadata) for name, models in world.MODELS.items()}, keys)
    machine.learn_secrets()
    Attacker.world = made
    return made


@pytest.fixture(autouse=True)
def quiet():
    """What is refused within a command is not logged."""
    logging.disable(logging.ERROR)
    Attacker.forget()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.rule("ROLE-06", "ROLE-16", "TRF-33", "MEM-32")
@pytest.mark.parametrize("role", machine.ROLES)
def test_nothing_outside_changes_is_held_or_told(nation, capsys, role):
    """ROLE-06, ROLE-16, TRF-33, MEM-32: nobody changes, holds or learns anything outside their subtree.

    Whatever somebody sends, of persons and organisations outside nothing changes, is held or is
    told.
    """
    began = time.monotonic()
    run(role, 6, 20)
    with capsys.disabled():
        print(
            f"\n  {role}: {sum(Attacker.done.values())} calls of {len(Attacker.done)} operations"
            f" in {time.monotonic() - began:.0f} s, {sum(Attacker.granted.values())} granted;"
            f" ways {json.dumps(dict(Attacker.ways))}"
        )
    assert sum(Attacker.done.values()) > 400 and sum(Attacker.granted.values()) > 30


def test_every_operation_is_attacked():
    """What a service answers, the machine attacks.

    What it does not know how to fill is an error there, not a gap.
    """
    declared = {
        one
        for module in (members, orgs, transfers)
        for one in vars(module).values()
        if isinstance(one, Command | Query)
    }
    assert declared == set(machine.OPERATIONS)


def test_every_column_is_looked_at():
    """Each number and list of numbers in the databases is known as a person, an organisation, or neither.

    A new one has to be told apart.
    """
    wide = {
        column.name
        for models in world.MODELS.values()
        for table in models.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, sa.BigInteger)
        or isinstance(getattr(column.type, "item_type", None), sa.BigInteger)
    }
    assert wide - machine.PERSONS - machine.ORGS - machine.NEITHER == set()
    assert not machine.PERSONS & machine.ORGS and not (machine.PERSONS | machine.ORGS) & machine.NEITHER


@pytest.mark.parametrize(
    "changes, covered",
    [
        ({"reserved_by": 7, "reserved_target_id": 20}, True),
        ({"branch_id": 20}, False),
        ({"branch_id": 20, "reserved_by": None}, False),
    ],
)
def test_an_own_member_is_held_but_arrives_nowhere(changes, covered):
    """TRF-01: whoever starts an own transfer is held; only a decision moves somebody to an outside branch."""
    was = {"person_id": 1, "branch_id": 10, "reserved_by": None, "reserved_target_id": None}
    touched = world.Touched("members", "people", was, was | changes)
    case = machine.Case(None, "request_transfers", touched, set(), {10, 20})
    assert machine._own_transfer(case) is covered


def test_every_way_has_its_rule():
    """A way by which something outside may change, and what may be told, names rules that there are."""
    rules = set(
        re.findall(
            r"^([A-Z]+-[0-9]+)\t",
            (Path(__file__).parents[2] / "docs" / "rules.tsv").read_text("utf-8"),
            re.MULTILINE,
        )
    )
    assert {rule for way in machine.WAYS for rule in way.rules} | set(machine.TELLS) <= rules


# ---- faults that were there, put back ------------------------------------------------------------


def old_start(patch):
    """Put S1 back: whoever claims to be a batch is no source, no member, so a target, and needs no ticket."""

    def may_request(request, person_id, acting_org, source, target):
        if request.initiator == "member":
            return None if person_id == request.member_id else Refusal("not_your_member")
        if acting_org is None:
            return Refusal("not_administrator")
        if request.initiator == "source":
            return None if acting_org in (source.org_id, source.parent_id) else Refusal("not_your_org")
        return None if target is not None and acting_org == target.org_id else Refusal("not_your_org")

    patch.setattr(domain, "FROM_OUTSIDE", tuple(Initiator))
    patch.setattr(domain, "may_request", may_request)
    patch.setattr(domain, "path_of", lambda starter, destination: f"{starter}:{destination}")
    check = transfers_handlers._check_ticket
    patch.setattr(
        transfers_handlers,
        "_check_ticket",
        lambda tx, item, actor: check(tx, item, actor) if item.initiator == "target" else None,
    )


def old_names(patch):
    """Put the first half of S2 back: anybody is named a cadre by an id."""

    def of(tx, person_ids):
        return {
            one: [row.path for row in directory.find(tx, [machine.ROLES[Attacker.role]]).values()]
            for one in store.by_ids(tx, [*person_ids])
        }

    patch.setattr(posts, "places", SimpleNamespace(of=of))


def old_resets(patch):
    """Put the second half of S2 back: the branch opens an account.

    For somebody who has none, the organisation of any post does.
    """

    def resetters(tx, people):
        posts = {row.person_id: row.org_id for row in posts_store.posts_held(tx, people)}
        orgs = directory.find(tx, [*[row.branch_id for row in people.values()], *posts.values()])
        found = {person: orgs.get(row.branch_id or posts.get(person, 0)) for person, row in people.items()}
        return {
            person: frozenset(int(one) for one in str(org.path).split(".")[-3:-1])
            if org is not None
            else frozenset()
            for person, org in found.items()
        }

    patch.setattr(resets, "resetters", resetters)


def old_entries(patch):
    """Put back that who is in no branch is entered by anybody."""
    patch.setattr(entering, "places", SimpleNamespace(of=lambda tx, ids: {}))


def old_second_start(patch):
    """Put back that a second start is told of the open one, whoever asks."""
    patch.setattr(
        transfers_handlers,
        "_second_start",
        lambda item, held: transfers_handlers.Outcome(
            refusal=Refusal("transfer_open"),
            open=transfers_handlers._in_the_way(held) if held is not None else None,
        ),
    )


def no_subtree(patch):
    """Let every list of members begin at the root."""
    patch.setattr(
        lists.directory,
        "require_above",
        lambda tx, actor, org_id=None, observers=False: directory.find(tx, [world.ROOT])[world.ROOT],
    )


FAULTS = {
    "S1": (old_start, "branch", {"request_transfers", "look_up", "decide_nodes", "get_transfer"}),
    "S2 names": (old_names, "branch", {"set_posts", "list_cadres", "set_administrators"}),
    "S2 resets": (old_resets, "college", {"set_posts", "issue_reset_codes", "set_administrators"}),
    "entries": (old_entries, "branch", {"admit", "import_rows"}),
    "second start": (old_second_start, "branch", {"request_transfers", "restart_transfers"}),
    "subtree": (no_subtree, "branch", {"search_members", "export_members", "reveal_ids", "get_report"}),
}
"""What is put back, by whom it is found, and among which operations it is looked for here.

The operations are few so that it takes seconds; the long form takes all.
"""
LONG = {"entries", "second start", "S2 resets"}
"""Those that are searched for a quarter of a minute."""


@pytest.mark.rule("TRF-01", "ACC-07", "CADRE-03", "ACC-11", "BEY-03", "ROLE-06")
@pytest.mark.parametrize(
    "fault",
    [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in FAULTS],
)
def test_the_machine_finds_what_was_there(nation, monkeypatch, fault):
    """TRF-01, ACC-07, CADRE-03, ACC-11, BEY-03, ROLE-06: each fault put back is found.

    Each was mended once; the machine finds it again.
    """
    put_back, role, among = FAULTS[fault]
    monkeypatch.setattr(Attacker, "only", frozenset(among))
    put_back(monkeypatch)
    with pytest.raises((Fault, FlakyFailure)):
        run(role, 150, 20)  # it ends with the first that it finds

"""The use cases of orgs on a real PostgreSQL.

Loading, search, rights, limits, repetition, two replicas at once.
"""

import contextlib
import threading
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.orgs import handlers, store
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import BranchGraduated, DeletionRefused
from shared.messages.orgs import DeleteOrg, GetOrgs, ListChildren, MyOrgs, SaveOrg
from tests import statements
from tests.orgs.factories import (
    CLASS,
    COLLEGE,
    DEAN,
    OTHER_SCHOOL,
    PRESIDENT,
    SCHOOL,
    STRANGER,
    TREE,
    Seed,
    code,
    delete,
    events,
    found,
    grant,
    holders,
    of_class,
    of_college,
    of_school,
    save,
    setting,
)

NO_RIGHTS = [
    Actor(STRANGER, OTHER_SCHOOL),
    Actor(STRANGER, SCHOOL),
    Actor(PRESIDENT, None),
    Actor(PRESIDENT, 999),
]


def shown(tx, org_id):
    """Return an organisation as shown, or None."""
    return next(iter(handlers.get_orgs(tx, GetOrgs(org_ids=[org_id]), None)), None)


# ---- loading -------------------------------------------------------------------------------------


@pytest.mark.rule("ORG-01", "FED-01")
def test_paths_and_provincial_bodies(tx):
    """ORG-01: a path holds all superiors from the root down.

    Each organisation knows its provincial body, vault and system.
    """
    rows = {row.org_id: row for row in tx.execute(sa.text("SELECT * FROM orgs"))}

    assert len(rows) == len(TREE)
    assert rows[1].path == "1." and rows[CLASS].path == "1.42.420.42011.42012."
    assert (
        rows[1].provincial_id,
        rows[42].provincial_id,
        rows[CLASS].provincial_id,
        rows[440].provincial_id,
    ) == (None, 42, 42, 44)
    assert (rows[1].vault_id, rows[42].vault_id, rows[CLASS].vault_id, rows[440].vault_id) == (
        None,
        42999,
        42999,
        44999,
    )
    assert (rows[1].system, rows[CLASS].system, rows[440].system) == ("national", "national", "GD")


@pytest.mark.rule("MIG-09")
def test_load_tells_once(engine):
    """MIG-09: loading tells of every organisation with its vault; loading again changes and tells nothing."""
    with engine.connect() as tx:
        tx.execute(sa.text("TRUNCATE orgs, administrators, handled_commands, outbox"))

        first = store.load(tx, TREE)
        told = events(tx, "org_changed")
        again = store.load(tx, TREE)

        assert (first, again) == (len(TREE), 0)
        assert sorted(one["org_id"] for one in told) == sorted(seed.id for seed in TREE)
        assert next(one for one in told if one["org_id"] == CLASS) == {
            "org_id": CLASS,
            "parent_id": COLLEGE,
            "path": "1.42.420.42011.42012.",
            "kind": "branch",
            "purpose": "ordinary",
            "province": "42",
            "system": "national",
            "provincial_id": 42,
            "vault_id": 42999,
            "name": "共青团江汉理工大学机械学院2022级1班支部委员会",
            "version": 1,
            "deleted": False,
            "industry": "",
            "division_code": None,
            "peer_code": None,
        }
        assert events(tx, "org_changed") == told
        tx.rollback()


@pytest.mark.rule("ORG-10")
def test_load_keeps_edits(tx):
    """ORG-10: loading the tree again does not take back what people have edited since."""
    save(tx, of_college, org_id=COLLEGE, parent_id=SCHOOL, full_name="共青团江汉理工大学机电学院委员会")

    assert store.load(tx, TREE) == 0
    assert shown(tx, COLLEGE).full_name == "共青团江汉理工大学机电学院委员会"


@pytest.mark.rule("ORG-01")
def test_load_needs_the_superior_first(tx):
    """ORG-01: a tree in which a superior does not come first is not loaded at all."""
    with pytest.raises(ValueError, match="comes before"):
        store.load(tx, [TREE[0], TREE[3]])


# ---- search and lists ----------------------------------------------------------------------------


@pytest.mark.rule("BEY-20", "SRCH-08")
@pytest.mark.parametrize("text", ["汉理工大学机械学院20", "机械学院2022级1班", "２０２２级", "学院 2022级"])
def test_search_finds_the_middle(tx, text):
    """BEY-20: any part of the full name finds it, in any width, with or without blanks.

    SRCH-08: destinations are found so.
    """
    assert CLASS in found(tx, text)


@pytest.mark.rule("BEY-20")
@pytest.mark.parametrize("text", ["出国（境）学习", "出国(境)学习", "（境）"])
@pytest.mark.parametrize("below", [None, SCHOOL, 1])
def test_search_of_brackets(tx, text, below):
    """BEY-20: brackets are found in either width, the stored name having full-width ones."""
    assert found(tx, text, below=below) == [42010]


@pytest.mark.rule("BEY-20")
def test_search_order(tx):
    """BEY-20: the exact name comes first, then names that begin so, then shorter names."""
    assert found(tx, "共青团江汉理工大学委员会")[0] == SCHOOL
    assert set(found(tx, "理工大学")[:2]) == {SCHOOL, OTHER_SCHOOL}
    assert found(tx, "共青团江汉理工大学机械学院")[0] == COLLEGE


@pytest.mark.rule("BEY-20")
@pytest.mark.parametrize("text, hits", [("湖", [42, 4201, 42999]), ("汉", []), ("中", [1])])
def test_search_by_one_character(tx, text, hits):
    """BEY-20: a single character finds the names that begin with it, with or without 共青团."""
    assert found(tx, text) == hits
    assert found(tx, text, below=1) == hits


@pytest.mark.rule("BEY-20")
@pytest.mark.parametrize("text", ["", "  ", "　"])
def test_search_needs_a_text(tx, text):
    """BEY-20: a search for nothing is refused."""
    with pytest.raises(Refused) as refused:
        found(tx, text)
    assert refused.value.code == "bad_request"


@pytest.mark.rule("BEY-20")
@pytest.mark.parametrize(
    "text",
    ["100%", "a_b", "'; DROP", "\\", "{}", "大学%", "湖\U0010ffff", "\U0010ffff", "\ud7ff", "湖\ud7ff"],
)
def test_search_takes_signs_as_they_are(tx, text):
    """BEY-20: signs that mean something to a database mean nothing in a search.

    Nor does the last sign that there is, or the last before the halves of characters.
    """
    assert found(tx, text) == []


@pytest.mark.rule("SRCH-02")
def test_search_below(tx):
    """SRCH-02: a search may be limited to the subtree of an organisation, itself included."""
    assert set(found(tx, "理工大学委员会")) == {420, 440}
    assert found(tx, "理工大学委员会", below=44) == [440]
    assert found(tx, "理工大学委员会", below=420) == [420]
    assert found(tx, "江汉理工大学", below=4201) == []
    assert set(found(tx, "理工大学委员会", below=1)) == {420, 440}
    with pytest.raises(Refused) as refused:
        found(tx, "大学", below=999)
    assert refused.value.code == "unknown_org"


@pytest.mark.rule("TRF-15")
def test_search_of_targets(tx):
    """TRF-15: targets are committees and branches.

    Leading bodies, graduate branches and vaults are left out.
    """
    assert {42, 4201, 42999} <= set(found(tx, "湖北省"))
    assert found(tx, "湖北省", targets_only=True) == []
    assert set(found(tx, "机械学院", targets_only=True)) == {COLLEGE, CLASS}
    assert set(found(tx, "机械学院", targets_only=True, below=SCHOOL)) == {COLLEGE, CLASS}


@pytest.mark.rule("BEY-20")
def test_search_limit(tx):
    """BEY-20: a search shows at most what was asked for, and never more than 50."""
    store.load(
        tx,
        [*TREE, *(Seed(700_000 + n, COLLEGE, "branch", f"共青团测试团支部{n}号", "42") for n in range(60))],
    )

    assert len(found(tx, "测试团支部", limit=7)) == 7
    assert len(found(tx, "测试团支部", limit=500)) == 50
    assert len(found(tx, "测试团支部", limit=-1)) == 1


def test_what_is_answered_without_a_transaction_only_reads(tx):
    """Searches and lists of subordinates: PostgreSQL takes no change."""
    tx.execute(sa.text("SET TRANSACTION READ ONLY"))

    assert found(tx, "湖北省")
    assert handlers.list_children(tx, ListChildren(org_id=42), None)


@pytest.mark.rule("ORG-24")
def test_children_in_pages(tx):
    """ORG-24: direct subordinates come in display order, page by page without a gap."""
    pages, after = [], 0
    while page := handlers.list_children(tx, ListChildren(org_id=42, after=after, limit=2), None):
        pages.append([org.org_id for org in page])
        after = page[-1].org_id

    assert pages == [[42999, 4201], [420]]
    assert shown(tx, SCHOOL).children == 2


@pytest.mark.rule("BEY-05")
def test_get_orgs_in_order(tx):
    """BEY-05: organisations come in the order asked for; unknown ones are left out; 500 at most."""
    assert [org.org_id for org in handlers.get_orgs(tx, GetOrgs(org_ids=[CLASS, 999, 1]), None)] == [CLASS, 1]
    with pytest.raises(Refused) as refused:
        handlers.get_orgs(tx, GetOrgs(org_ids=list(range(501))), None)
    assert refused.value.code == "too_many_items"


@pytest.mark.rule("ROLE-14")
def test_my_orgs(tx):
    """ROLE-14: a person with several organisations is shown all of them.

    Deleted ones and lost rights are left out.
    """
    grant(tx, of_school, COLLEGE, PRESIDENT)
    grant(tx, of_college, CLASS, PRESIDENT)
    delete(tx, of_college, CLASS)

    assert {org.org_id for org in handlers.my_orgs(tx, MyOrgs(), of_school)} == {SCHOOL, COLLEGE}


# ---- saving --------------------------------------------------------------------------------------


@pytest.mark.rule("ORG-23", "ORG-01")
@pytest.mark.parametrize("actor, parent", [(of_school, SCHOOL), (of_college, COLLEGE)])
def test_superior_creates(tx, actor, parent):
    """ORG-23: a subordinate is created by its direct superior, stands below it at once and is told of."""
    answer = save(
        tx, actor, parent_id=parent, kind="branch", full_name=" 共青团新班  支部委员会 ", phone="027"
    )

    assert answer.refusal is None and answer.org_id >= 2**50
    org = shown(tx, answer.org_id)
    assert (org.parent_id, org.province, org.full_name, org.short_name, org.phone) == (
        parent,
        "42",
        "共青团新班 支部委员会",
        "共青团新班 支部委员会",
        "027",
    )
    [told] = events(tx, "org_changed")
    assert told["path"].endswith(f".{parent}.{answer.org_id}.") and (
        told["vault_id"],
        told["provincial_id"],
        told["version"],
    ) == (42999, 42, 1)
    assert found(tx, "新班支部") == [answer.org_id]


@pytest.mark.rule("ORG-23", "ROLE-16")
@pytest.mark.parametrize("actor", [*NO_RIGHTS, of_school, of_class])
def test_others_do_not_create(tx, actor):
    """ORG-23: nobody else creates below an organisation, not even who stands two levels above."""
    assert code(save(tx, actor, parent_id=COLLEGE, full_name="共青团新班支部委员会")) == "not_your_org"
    assert events(tx, "org_changed") == []


@pytest.mark.rule("ORG-10", "ORG-14")
@pytest.mark.parametrize("actor", [of_college, of_school])
def test_own_or_superior_edits(tx, actor):
    """ORG-14: the own administrator or the direct superior's edits, at once and any number of times."""
    for version, name in ((2, "共青团机电学院委员会"), (3, "共青团机器人学院委员会")):
        assert (
            save(tx, actor, org_id=COLLEGE, parent_id=SCHOOL, full_name=name, short_name="新").refusal is None
        )
        assert shown(tx, COLLEGE).full_name == name
        assert (events(tx, "org_changed")[-1]["name"], events(tx, "org_changed")[-1]["version"]) == (
            name,
            version,
        )
    assert found(tx, "机器人学院") == found(tx, "机电学院") == [COLLEGE]  # BEY-20: former names find it


@pytest.mark.rule("ORG-14", "ROLE-16")
@pytest.mark.parametrize("actor", [*NO_RIGHTS, of_class, Actor(2001, 42)])
def test_others_do_not_edit(tx, actor):
    """ORG-14: nobody else edits, neither from below nor from two levels above."""
    assert (
        code(save(tx, actor, org_id=COLLEGE, parent_id=SCHOOL, full_name="共青团机电学院委员会"))
        == "not_your_org"
    )


@pytest.mark.rule("ORG-09")
def test_renaming_leaves_children(tx):
    """ORG-09: the full names of subordinates are not recomputed."""
    before = shown(tx, CLASS)
    save(tx, of_college, org_id=COLLEGE, parent_id=SCHOOL, full_name="共青团机电学院委员会")

    assert shown(tx, CLASS) == before
    assert [one["org_id"] for one in events(tx, "org_changed")] == [COLLEGE]


@pytest.mark.rule("ORG-27")
def test_editing_keeps_kind_and_purpose(tx):
    """ORG-27: a graduate branch may be edited and stays one; an edit never changes the kind."""
    assert (
        save(
            tx, of_college, org_id=42013, parent_id=COLLEGE, kind="committee", full_name="共青团2018级支部"
        ).refusal
        is None
    )

    org = shown(tx, 42013)
    assert (org.kind, org.purpose, org.full_name) == ("branch", "graduate", "共青团2018级支部")


@pytest.mark.rule("ORG-13")
def test_provincial_names_stay(tx):
    """ORG-13: names of provincial bodies are never edited; the telephone may be."""
    same = {
        "org_id": 42,
        "parent_id": 1,
        "full_name": "共青团湖北省委员会",
        "short_name": shown(tx, 42).short_name or "共青团湖北省委员会",
    }
    tx.execute(sa.text("UPDATE orgs SET short_name = :name WHERE org_id = 42"), {"name": same["short_name"]})

    assert code(save(tx, Actor(2001, 42), **{**same, "full_name": "共青团荆楚省委员会"})) == "org_fixed"
    assert code(save(tx, Actor(1, 1), **{**same, "short_name": "省委"})) == "org_fixed"
    assert save(tx, Actor(2001, 42), **same, phone="027-1").refusal is None
    assert shown(tx, 42).phone == "027-1"


@pytest.mark.rule("ORG-01", "ORG-02", "ORG-03", "ORG-06")
@pytest.mark.parametrize(
    "fields, actor, refusal",
    [
        ({"parent_id": 999}, of_school, "unknown_org"),
        ({"parent_id": SCHOOL, "org_id": 999}, of_school, "unknown_org"),
        ({"parent_id": SCHOOL, "org_id": CLASS}, of_school, "unknown_org"),
        ({"parent_id": SCHOOL, "kind": "club"}, of_school, "bad_request"),
        ({"parent_id": SCHOOL, "purpose": "vault"}, of_school, "bad_request"),
        ({"parent_id": CLASS}, of_class, "bad_request"),
        ({"parent_id": SCHOOL, "full_name": " "}, of_school, "field_missing"),
        ({"parent_id": SCHOOL, "full_name": "某厂青工委"}, of_school, "not_an_org"),
    ],
)
def test_save_refusals(tx, fields, actor, refusal):
    """ORG-01, ORG-02, ORG-03, ORG-06: what cannot be an organisation is refused and nothing is told."""
    assert code(save(tx, actor, **{"full_name": "共青团新班支部委员会", **fields})) == refusal
    assert events(tx, "org_changed") == []


@pytest.mark.rule("BEY-05")
def test_a_bad_item_does_not_stop_the_others(tx):
    """BEY-05: in a list each item has its own answer, in order, and the list costs no statement per item."""
    sent = []
    items = [
        SaveOrg(
            command_id=uuid4(), parent_id=COLLEGE if n % 3 else SCHOOL, full_name=f"共青团{n:03}班支部委员会"
        )
        for n in range(300)
    ]

    with statements.seen(tx.engine, lambda tx, text, values: sent.append(text)):
        answers = handlers.save_orgs(tx, [Asked(item, of_college) for item in items])

    assert [code(answer) for answer in answers] == [None if n % 3 else "not_your_org" for n in range(300)]
    made = [answer.org_id for answer in answers if answer.org_id]
    assert len(set(made)) == 200 and len(sent) < 20
    assert sorted(one["org_id"] for one in events(tx, "org_changed")) == sorted(made)
    assert [org.full_name for org in handlers.get_orgs(tx, GetOrgs(org_ids=made), None)] == [
        item.full_name for n, item in enumerate(items) if n % 3
    ]


@pytest.mark.rule("BEY-05")
def test_two_edits_in_one_list(tx):
    """BEY-05: of two edits of one organisation in one list the last holds, with a version of its own."""
    handlers.save_orgs(
        tx,
        [
            Asked(SaveOrg(command_id=uuid4(), org_id=COLLEGE, parent_id=SCHOOL, full_name=name), of_college)
            for name in ("甲学院", "乙学院")
        ],
    )

    assert shown(tx, COLLEGE).full_name == "乙学院"
    assert [(one["name"], one["version"]) for one in events(tx, "org_changed")] == [("乙学院", 3)]


@pytest.mark.rule("BEY-05")
def test_repeat_creates_once(tx):
    """BEY-05: a repeated command gets the first answer again and does nothing, in the same list or later."""
    asked = Asked(SaveOrg(command_id=uuid4(), parent_id=SCHOOL, full_name="共青团新班支部委员会"), of_school)

    first, same = handlers.save_orgs(tx, [asked, asked])
    [later] = handlers.save_orgs(tx, [asked])

    assert first == same == later and first.org_id
    assert len(events(tx, "org_changed")) == 1 and len(found(tx, "新班支部")) == 1


@pytest.mark.rule("BEY-05")
def test_repeat_of_delete_and_grant(tx):
    """BEY-05: deleting and granting are answered again too, even where a second try would be refused."""
    gone = Asked(DeleteOrg(command_id=uuid4(), org_id=CLASS), of_college)
    given = Asked(setting(COLLEGE, 9), of_college)

    assert handlers.delete_orgs(tx, [gone]) == handlers.delete_orgs(tx, [gone])
    assert handlers.set_administrators(tx, [given]) == handlers.set_administrators(tx, [given])
    assert len(events(tx, "org_changed")) == 1 and len(events(tx, "administrator_changed")) == 1


# ---- deleting ------------------------------------------------------------------------------------


@pytest.mark.rule("DEL-01")
def test_superior_deletes(tx):
    """DEL-01: the direct superior deletes; the organisation is gone from every list and told as deleted."""
    assert delete(tx, of_college, CLASS).refusal is None

    assert (
        shown(tx, CLASS) is None and CLASS not in found(tx, "机械学院") and shown(tx, COLLEGE).children == 1
    )
    [told] = events(tx, "org_changed")
    assert (told["org_id"], told["deleted"], told["version"]) == (CLASS, True, 2)
    assert code(delete(tx, of_college, CLASS)) == "unknown_org"
    assert code(save(tx, of_class, org_id=CLASS, parent_id=COLLEGE, full_name="还在")) == "unknown_org"


@pytest.mark.rule("DEL-01", "ROLE-16")
@pytest.mark.parametrize("actor", [*NO_RIGHTS, of_class, of_school])
def test_others_do_not_delete(tx, actor):
    """DEL-01: neither the organisation itself nor anyone else but the direct superior deletes it."""
    assert code(delete(tx, actor, CLASS)) == "not_your_org"


@pytest.mark.rule("DEL-01")
def test_the_root_is_not_deleted(tx):
    """DEL-01: the centre has no superior, so nobody deletes it."""
    assert code(delete(tx, Actor(1, 1), 1)) == "not_your_org"
    assert code(delete(tx, Actor(1, None), 1)) == "not_your_org"


@pytest.mark.rule("DEL-02")
def test_children_go_first(tx):
    """DEL-02: an organisation with subordinates is not deleted.

    In one list its subordinates may go before it.
    """
    assert code(delete(tx, of_school, COLLEGE)) == "org_has_children"

    order = [(COLLEGE, of_school), (CLASS, of_college), (42013, of_college), (COLLEGE, of_school)]
    answers = handlers.delete_orgs(
        tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=org), actor) for org, actor in order]
    )

    assert [code(answer) for answer in answers] == ["org_has_children", None, None, None]
    assert shown(tx, COLLEGE) is None


# ---- administrators ------------------------------------------------------------------------------


@pytest.mark.rule("ADM-05", "ROLE-06")
@pytest.mark.parametrize("actor", [of_college, of_school])
def test_grant(tx, actor):
    """ADM-05: an administrator of the organisation or of its direct superior adds another.

    It is told once.
    """
    assert grant(tx, actor, COLLEGE, 9).refusal is None
    assert grant(tx, actor, COLLEGE, 9).refusal is None

    assert holders(tx, COLLEGE) == [9, DEAN]
    assert events(tx, "administrator_changed") == [
        {"org_id": COLLEGE, "person_id": 9, "active": True, "version": 1, "observer": False}
    ]
    assert tx.scalar(sa.text("SELECT changed_by FROM administrators WHERE person_id = 9")) == actor.person_id


@pytest.mark.rule("ADM-05", "ROLE-16")
@pytest.mark.parametrize("actor", [*NO_RIGHTS, of_class, Actor(2001, 42)])
def test_others_do_not_grant(tx, actor):
    """ADM-05: nobody else gives rights, neither from below nor from two levels above."""
    assert code(grant(tx, actor, COLLEGE, 9)) == "not_your_org"
    assert code(grant(tx, actor, COLLEGE, DEAN, active=False)) == "not_your_org"


@pytest.mark.rule("ADM-01")
def test_limit(tx):
    """ADM-01: the fourth administrator is refused, of a leading body the third, also within one list.

    One who leaves makes room.
    """
    asked = [Asked(setting(COLLEGE, person), of_college) for person in (9, 10, 11)]
    assert [code(answer) for answer in handlers.set_administrators(tx, asked)] == [
        None,
        None,
        "too_many_administrators",
    ]
    assert code(grant(tx, of_college, COLLEGE, 9)) is None
    assert grant(tx, of_college, COLLEGE, 9, active=False).refusal is None
    assert grant(tx, of_college, COLLEGE, 11).refusal is None

    refusal = [grant(tx, Actor(2001, 42), 42, person) for person in (9, 10)][1].refusal
    assert (refusal.code, refusal.values) == ("too_many_administrators", {"limit": "2"})


@pytest.mark.rule("ADM-06")
def test_revoke(tx):
    """ADM-06: revoking takes the right from then on.

    It can be given again, each change with a higher version.
    """
    grant(tx, of_college, COLLEGE, 9)
    grant(tx, Actor(9, COLLEGE), COLLEGE, DEAN, active=False)

    assert holders(tx, COLLEGE) == [9]
    assert code(grant(tx, of_college, COLLEGE, 10)) == "not_your_org"
    assert grant(tx, of_school, COLLEGE, DEAN).refusal is None
    assert [one["version"] for one in events(tx, "administrator_changed") if one["person_id"] == DEAN] == [
        2,
        3,
    ]


@pytest.mark.rule("ADM-06")
def test_revoking_nothing_is_not_told(tx):
    """ADM-06: revoking a right that nobody had changes and tells nothing."""
    assert grant(tx, of_college, COLLEGE, 9, active=False).refusal is None
    assert events(tx, "administrator_changed") == []


@pytest.mark.rule("ADM-07", "ADM-08")
def test_own_right(tx):
    """ADM-07, ADM-08: nobody revokes their own right, whatever organisation they act for.

    The last one falls by the direct superior.
    """
    grant(tx, of_school, COLLEGE, PRESIDENT)

    assert code(grant(tx, of_college, COLLEGE, DEAN, active=False)) == "own_right"
    assert code(grant(tx, of_school, COLLEGE, PRESIDENT, active=False)) == "own_right"
    assert grant(tx, of_college, COLLEGE, PRESIDENT, active=False).refusal is None
    assert grant(tx, of_school, COLLEGE, DEAN, active=False).refusal is None
    assert holders(tx, COLLEGE) == []


# ---- two replicas at once ------------------------------------------------------------------------


def at_once(engine, *works):
    """Run the functions at once, each in a transaction of its own, and return the answers.

    The transactions stay open until all have answered or half a second passed.
    """
    answers, together = [None] * len(works), threading.Barrier(len(works))

    def run(n, work):
        with engine.begin() as tx:
            answers[n] = work(tx)
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(0.5)

    threads = [threading.Thread(target=run, args=(n, work)) for n, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.rule("ADM-01")
def test_limit_holds_at_once(loaded):
    """ADM-01: two calls that each give the third right at the same moment do not make four."""
    with loaded.begin() as tx:
        grant(tx, of_college, COLLEGE, 9)

    answers = at_once(
        loaded, *(lambda tx, person=person: grant(tx, of_college, COLLEGE, person) for person in (10, 11))
    )

    assert sorted(str(code(answer)) for answer in answers) == ["None", "too_many_administrators"]
    with loaded.connect() as tx:
        assert len(holders(tx, COLLEGE)) == 3


@pytest.mark.rule("ORG-14")
def test_no_edit_is_lost_at_once(loaded):
    """ORG-14: of two edits at the same moment neither is dropped in silence.

    Both are told, with versions of their own.
    """
    at_once(
        loaded,
        *(
            lambda tx, name=name: save(tx, of_college, org_id=COLLEGE, parent_id=SCHOOL, full_name=name)
            for name in ("甲学院", "乙学院")
        ),
    )

    with loaded.connect() as tx:
        assert sorted(one["version"] for one in events(tx, "org_changed")) == [2, 3]
        assert (
            shown(tx, COLLEGE).full_name
            == max(events(tx, "org_changed"), key=lambda one: one["version"])["name"]
        )


@pytest.mark.rule("DEL-02")
def test_no_child_of_a_deleted_one_at_once(loaded):
    """DEL-02: while an organisation is deleted nothing is created below it, and the other way round."""
    made, gone = at_once(
        loaded,
        lambda tx: save(tx, of_college, parent_id=COLLEGE, kind="committee", full_name="共青团新系委员会"),
        lambda tx: [
            delete(tx, of_college, CLASS),
            delete(tx, of_college, 42013),
            delete(tx, of_school, COLLEGE),
        ][-1],
    )

    assert (code(made), code(gone)) in ((None, "org_has_children"), ("unknown_org", None))


@pytest.mark.rule("BEY-05")
def test_repeat_at_once(loaded):
    """BEY-05: the same command at two replicas at the same moment is done once and answered twice."""
    item = SaveOrg(command_id=uuid4(), parent_id=SCHOOL, full_name="共青团新班支部委员会")

    first, second = at_once(loaded, *[lambda tx: handlers.save_orgs(tx, [Asked(item, of_school)])[0]] * 2)

    assert first == second and first.org_id


@pytest.mark.rule("GRAD-12", "GRAD-14")
def test_graduates_organisations(tx):
    """GRAD-12, GRAD-14: a branch becomes a graduates' organisation and back.

    Late and repeated messages change nothing.
    """

    def say(graduate, version):
        handlers.on_branch_graduated(
            tx, [BranchGraduated(branch_id=CLASS, graduate=graduate, version=version)]
        )
        return store.by_ids(tx, [CLASS])[CLASS].purpose

    assert [say(True, 2), say(True, 2), say(False, 3), say(True, 2), say(True, 4)] == [
        "graduate",
        "graduate",
        "ordinary",
        "ordinary",
        "graduate",
    ]
    assert [one["purpose"] for one in events(tx, "org_changed")] == ["graduate", "ordinary", "graduate"]


@pytest.mark.rule("GRAD-12")
def test_two_decisions_in_one_batch(tx):
    """GRAD-12: of two decisions on one branch in one batch the later holds, whatever their order."""
    handlers.on_branch_graduated(
        tx,
        [
            BranchGraduated(branch_id=CLASS, graduate=False, version=3),
            BranchGraduated(branch_id=CLASS, graduate=True, version=2),
        ],
    )

    assert store.by_ids(tx, [CLASS])[CLASS].purpose == "ordinary"


@pytest.mark.rule("DEL-03")
def test_a_refused_deletion_is_taken_back(tx):
    """DEL-03: an organisation that members finds not empty comes back as it was, once.

    One that is not deleted stays as it is.
    """
    delete(tx, of_college, CLASS)
    assert CLASS not in store.by_ids(tx, [CLASS])

    for _ in range(2):
        handlers.on_taken_back(tx, [DeletionRefused(org_id=CLASS), DeletionRefused(org_id=COLLEGE)])

    assert [(one["org_id"], one["deleted"], one["version"]) for one in events(tx, "org_changed")] == [
        (CLASS, True, 2),
        (CLASS, False, 3),
    ]
    assert CLASS in store.by_ids(tx, [CLASS])


@pytest.mark.parametrize(
    "name, code",
    [
        ("\U0002a6d6" * 100, None),
        ("\U0002a6d6" * 101, "name_too_long"),
        ("ﷺ" * 40, "name_too_long"),
        ("长" * 20_000, "name_too_long"),
    ],
    ids=["longest", "longer", "unfolds", "endless"],
)
@pytest.mark.parametrize("field", ["full_name", "short_name"])
def test_no_name_outgrows_an_index(tx, field, name, code):
    """A name of any length is stored or refused.

    The longest that is stored, of four bytes a character, fits each index on names.

    A longer one was an error of the index, and with it of every command that waited beside it.
    """
    answer = save(tx, of_school, parent_id=SCHOOL, **{"full_name": "共青团新班支部委员会", field: name})
    assert (answer.refusal and answer.refusal.code) == code
    if answer.refusal is None:
        plain = tx.scalar(
            sa.text("SELECT octet_length(plain) FROM orgs WHERE org_id = :id"), {"id": answer.org_id}
        )
        assert plain <= 4 * 100


@pytest.mark.rule("TYPE-10")
def test_organisations_made_by_hand_have_a_division(tx):
    """TYPE-10: a new organisation has its superior's division code or the one that is given.

    Edited it keeps it; the directories are told; letters are no code.
    """
    tx.execute(sa.text("UPDATE orgs SET division_code = '420106' WHERE org_id = :org"), {"org": SCHOOL})
    inherited = save(
        tx, of_school, parent_id=SCHOOL, full_name="共青团江汉理工大学电气学院委员会", kind="committee"
    ).org_id
    given = save(
        tx,
        of_school,
        parent_id=SCHOOL,
        full_name="共青团江汉理工大学杭州校区委员会",
        kind="committee",
        division_code=" 330102 ",
    ).org_id
    assert (
        save(
            tx, of_school, parent_id=SCHOOL, full_name="共青团江汉理工大学某委员会", division_code="hz"
        ).refusal.code
        == "org_division_invalid"
    )
    save(
        tx, of_school, parent_id=SCHOOL, org_id=given, full_name="共青团江汉理工大学杭州校区委员会", phone="1"
    )
    assert (
        save(
            tx, of_school, parent_id=SCHOOL, org_id=COLLEGE, full_name="共青团江汉理工大学机械学院委员会"
        ).refusal
        is None
    )
    told = {item["org_id"]: item["division_code"] for item in events(tx, "org_changed")}
    assert told == {inherited: "420106", given: "330102", COLLEGE: "420106"}
    assert [
        org.division_code for org in handlers.get_orgs(tx, GetOrgs(org_ids=[inherited, given]), None)
    ] == ["420106", "330102"]

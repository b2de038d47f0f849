"""A peer's directory as rows of our tree: whatever comes twice, late, in any order or half."""

import random
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from services.orgs import handlers, store
from services.orgs.mirror import handlers as mirror
from shared.messages.federation import DirectoryRead, PeerOrg
from shared.messages.orgs import GetOrgs, ListChildren
from tests.orgs.factories import OTHER_SCHOOL, SCHOOL, TREE, Seed, events, found

GUANGDONG, VAULT = 44, 44999
BEGAN = datetime(2026, 11, 1, 8, tzinfo=UTC)


def one(code, parent="", name="", kind="committee", hour=0, **values):
    """Return an organisation of the peer's directory."""
    full_name = name or f"共青团广东{code}委员会"
    changed = BEGAN + timedelta(hours=hour)
    return PeerOrg(code=code, parent_code=parent, kind=kind, full_name=full_name, changed=changed, **values)


def read(tx, *orgs, reading=1, page=0, last=False, whole=False, system="GD"):
    """Take over one page."""
    items = [DirectoryRead(peer=system, reading=reading, page=page, last=last, whole=whole, orgs=list(orgs))]
    mirror.on_directory_read(tx, items)


def whole(tx, *orgs, reading):
    """Take over a whole directory of one page."""
    read(tx, *orgs, reading=reading, last=True, whole=True)


def rows(tx, system="GD"):
    """Return what is mirrored: by code the code of the superior, the names, and whether it is gone."""
    statement = """
        SELECT o.peer_code, p.peer_code AS parent, o.full_name, o.gone
        FROM orgs o JOIN orgs p ON p.org_id = o.parent_id
        WHERE o.system = :system AND o.peer_code IS NOT NULL AND o.org_id <> 44"""
    found = tx.execute(sa.text(statement), {"system": system})
    return {row.peer_code: (row.parent or "", row.full_name, row.gone) for row in found}


def org_of(tx, code, system="GD"):
    """Return the row of a code."""
    statement = "SELECT * FROM orgs WHERE system = :system AND peer_code = :code"
    return tx.execute(sa.text(statement), {"system": system, "code": code}).one()


def broken_paths(tx):
    """Return organisations whose path is not that of the superior with their own number."""
    statement = """
        SELECT o.org_id FROM orgs o JOIN orgs p ON p.org_id = o.parent_id
        WHERE o.path <> p.path || o.org_id || '.'"""
    return tx.scalars(sa.text(statement)).all()


@pytest.mark.rule("FED-04", "BEY-20")
def test_a_directory_becomes_rows(tx):
    """FED-04, BEY-20: what a peer's directory has stands in our tree, is found in its system, and is told."""
    read(
        tx,
        one("100", name="共青团华南海洋大学委员会", short_name="海洋大学团委", phone="020-1"),
        one("101", "100", name="共青团华南海洋大学1班支部委员会", kind="branch"),
    )
    school, branch = org_of(tx, "100"), org_of(tx, "101")
    assert (school.parent_id, school.system, school.province, school.phone) == (
        GUANGDONG,
        "GD",
        "44",
        "020-1",
    )
    assert (branch.path, branch.vault_id) == (f"{school.path}{branch.org_id}.", VAULT)
    assert broken_paths(tx) == []
    assert found(tx, "海洋大学团委", system="GD") == [school.org_id]
    assert found(tx, "海洋大学团委", system="national") == []
    told = {item["org_id"]: item for item in events(tx, "org_changed")}
    assert set(told) == {school.org_id, branch.org_id}
    assert told[branch.org_id]["parent_id"] == school.org_id
    assert {item["system"] for item in told.values()} == {"GD"}


@pytest.mark.rule("FED-04")
@pytest.mark.parametrize("seed", range(6))
def test_in_any_order_and_more_than_once(tx, seed):
    """FED-04: pages come in any order, twice, several at once; the tree is the same, told once."""
    rng = random.Random(seed)
    codes = [f"{n:03}" for n in range(60)]
    above = {code: rng.choice(["", *codes[:n]]) for n, code in enumerate(codes)}
    orgs = [one(code, above[code]) for code in rng.sample(codes, len(codes))]
    pages = [
        DirectoryRead(peer="GD", reading=1, page=n, last=n == 11, whole=True, orgs=orgs[5 * n : 5 * n + 5])
        for n in range(12)
    ]
    again = [*pages, *rng.sample(pages, 6)]
    rng.shuffle(again)
    while again:
        some, again = again[: rng.randint(1, 4)], again[rng.randint(1, 4) :]
        mirror.on_directory_read(tx, some)
    mirror.on_directory_read(tx, pages)  # whatever the slices above have left out
    assert rows(tx) == {code: (above[code], f"共青团广东{code}委员会", False) for code in codes}
    assert broken_paths(tx) == []
    assert tx.scalar(sa.text("SELECT count(*) FROM mirror_waiting")) == 0
    before = len(events(tx, "org_changed"))
    mirror.on_directory_read(tx, pages)
    assert len(events(tx, "org_changed")) == before


@pytest.mark.rule("FED-04")
def test_what_was_said_last_holds(tx):
    """FED-04: of two readings the newer holds; in one, what was changed later, whichever page comes first."""
    read(tx, one("1", name="共青团广东新名委员会", hour=2), reading=5)
    read(tx, one("1", name="共青团广东旧名委员会", hour=9), reading=4)  # a page that comes late
    assert rows(tx)["1"][1] == "共青团广东新名委员会"
    # renamed while the directory was paged: the same code on two pages
    read(tx, one("1", name="共青团广东后名委员会", hour=4), reading=5, page=1)
    read(tx, one("1", name="共青团广东新名委员会", hour=2), reading=5, page=2)
    assert rows(tx)["1"][1] == "共青团广东后名委员会"
    assert found(tx, "共青团广东新名委员会", system="GD") == [org_of(tx, "1").org_id]  # a former name, still
    # both pages at once, and both before their superior
    late, early = one("1", "2", "共青团广东末名委员会", hour=6), one("1", "2", "共青团广东先名委员会", hour=5)
    pages = [DirectoryRead(peer="GD", reading=5, page=n, orgs=[org]) for n, org in enumerate((late, early))]
    mirror.on_directory_read(tx, pages)
    read(tx, early, reading=5, page=2)
    read(tx, one("2"), reading=5, page=3)
    assert rows(tx)["1"][:2] == ("2", "共青团广东末名委员会")
    # a clock that was put back does not keep a newer reading out
    read(tx, one("1", name="共青团广东再名委员会", hour=-9), reading=6)
    assert rows(tx)["1"][1] == "共青团广东再名委员会"


@pytest.mark.rule("FED-04")
def test_a_subtree_moves(tx):
    """FED-04: what has another superior moves with all below it; its top alone is told."""
    read(tx, one("a"), one("b"), one("c", "a"), one("d", "c", kind="branch"))
    tx.execute(sa.text("DELETE FROM outbox"))
    read(tx, one("c", "b", hour=1), reading=2)
    assert rows(tx)["c"][0] == "b" and broken_paths(tx) == []
    assert org_of(tx, "d").path.startswith(org_of(tx, "b").path)
    assert [item["org_id"] for item in events(tx, "org_changed")] == [org_of(tx, "c").org_id]
    # its new superior is not known yet: it stays, and moves as soon as that comes
    read(tx, one("c", "e", hour=2), reading=3)
    assert rows(tx)["c"][0] == "b"
    read(tx, one("e", "a"), reading=3, page=1)
    assert rows(tx)["c"][0] == "e" and broken_paths(tx) == []
    # both move at once, one below the other
    read(tx, one("e", "", hour=3), one("a", "e", hour=3), reading=4)
    assert (rows(tx)["e"][0], rows(tx)["a"][0]) == ("", "e") and broken_paths(tx) == []


def test_nothing_stands_below_itself(tx):
    """A directory that changes while it is read may turn two around each other; they stay (FED-04)."""
    read(tx, one("a"), one("b", "a"))
    read(tx, one("a", "b", hour=1), reading=2)
    assert (rows(tx)["a"][0], rows(tx)["b"][0]) == ("", "a") and broken_paths(tx) == []
    read(tx, one("x", "y"), one("y", "x"), reading=2, page=1)
    assert set(rows(tx)) == {"a", "b"}


@pytest.mark.rule("FED-06")
def test_what_is_gone_is_kept(tx):
    """FED-06: what a whole reading has not is marked; it is not found any more, and has its name."""
    whole(tx, one("a"), one("b", "a"), reading=1)
    b = org_of(tx, "b").org_id
    whole(tx, one("a"), reading=2)
    assert {code: row[2] for code, row in rows(tx).items()} == {"a": False, "b": True}
    assert found(tx, "共青团广东b委员会", system="GD") == []
    assert found(tx, "共青团广东b委员会") == []
    below = ListChildren(org_id=org_of(tx, "a").org_id)
    assert handlers.list_children(tx, below, None) == []
    (shown,) = handlers.get_orgs(tx, GetOrgs(org_ids=[b]), None)
    assert shown.full_name == "共青团广东b委员会"
    assert not store.by_ids(tx, [VAULT, SCHOOL, GUANGDONG])[SCHOOL].deleted
    others = tx.scalars(sa.text("SELECT org_id FROM orgs WHERE gone AND peer_code IS NULL")).all()
    assert others == [
        OTHER_SCHOOL
    ]  # of the system, and nobody there knows it; not the vault, nor the province
    # it comes back, and goes again because it is said
    read(tx, one("b", "a", hour=1), reading=3)
    assert rows(tx)["b"][2] is False and found(tx, "共青团广东b委员会", system="GD") == [b]
    read(tx, one("b", "a", hour=2, gone=True), reading=4)
    assert rows(tx)["b"][2] is True
    kinds = tx.scalars(sa.text("SELECT kind FROM audit_log WHERE place_id = :org ORDER BY seq"), {"org": b})
    assert kinds.all() == ["org.created", "org.gone", "org.back", "org.gone"]


@pytest.mark.rule("FED-06")
def test_a_reading_ends_with_its_last_page(tx):
    """FED-06: nothing is gone before all pages are there, nor by a reading of changes only."""
    whole(tx, one("a"), one("b"), one("c"), reading=1)
    read(tx, one("a"), reading=2, page=0, whole=True)
    read(tx, reading=2, page=2, last=True, whole=True)
    read(tx, one("c"), reading=3, page=0, last=True)
    assert not any(gone for _, _, gone in rows(tx).values())
    read(tx, one("b"), reading=2, page=1, whole=True)  # the one that was missing
    assert not any(gone for _, _, gone in rows(tx).values()), "c was seen by a newer reading"
    # what waits for its superior was seen, too
    whole(tx, one("a"), one("b", "later", hour=1), reading=4)
    assert {code for code, row in rows(tx).items() if row[2]} == {"c"}


@pytest.mark.rule("FED-04")
def test_what_stood_here_before_gets_its_code(tx):
    """FED-04: an organisation of the tree is not doubled: it gets its code by its name, once.

    The province is what has no superior; its names are fixed (ORG-13).
    """
    name = store.by_ids(tx, [OTHER_SCHOOL])[OTHER_SCHOOL].full_name
    province = one("0", name="共青团广东某名委员会", kind="leading_body", phone="020-0")
    read(tx, province, one("7", name=f" {name}", short_name="岭南团委", hour=1), one("8", "7"))
    assert org_of(tx, "7").org_id == OTHER_SCHOOL and org_of(tx, "8").parent_id == OTHER_SCHOOL
    top = org_of(tx, "0")
    assert (top.org_id, top.phone, top.full_name) == (GUANGDONG, "020-0", "共青团广东省委员会")
    assert top.parent_id == 1 and broken_paths(tx) == []
    read(tx, one("9", "0", name=name, hour=1), reading=2)  # another of that name
    assert org_of(tx, "9").org_id != OTHER_SCHOOL and org_of(tx, "9").parent_id == GUANGDONG
    read(tx, one("10", name=store.by_ids(tx, [VAULT])[VAULT].full_name), reading=2)  # ours, not theirs
    assert org_of(tx, "10").org_id != VAULT
    before = len(events(tx, "org_changed"))
    read(tx, province, reading=3)
    assert len(events(tx, "org_changed")) == before


@pytest.mark.rule("FED-04")
def test_codes_are_of_their_system(tx):
    """FED-04: the same code in two systems is two organisations; nobody writes into a third tree."""
    seeds = [*TREE, Seed(35, 1, "leading_body", "共青团福建省委员会", "35")]
    store.load(tx, seeds)
    before = tx.scalar(sa.text("SELECT count(*) FROM orgs"))
    read(tx, one("1"))
    read(tx, one("1", name="共青团福建某某委员会"), system="FJ")
    assert org_of(tx, "1").parent_id == GUANGDONG
    assert org_of(tx, "1", "FJ").parent_id == 35 and org_of(tx, "1", "FJ").province == "35"
    read(tx, one("1"), system="national")
    read(tx, one("1"), system="SH")
    read(tx, one("1"), system="BJ")  # a tree that this installation has not
    assert tx.scalar(sa.text("SELECT count(*) FROM orgs")) == before + 2


@pytest.mark.parametrize(
    "bad",
    [
        one(""),
        one("1", "1"),
        one("1", kind="团委"),
        one("1", name="团"),
        one("1", name="团" * 101),
    ],
)
def test_what_nobody_could_show_is_left_out(tx, bad):
    """An organisation without code, name or kind is left out, and its neighbours are taken (FED-04)."""
    read(tx, bad, one("2"))
    assert set(rows(tx)) == {"2"}

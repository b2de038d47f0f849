"""Organisations are found by the names that people use, in a tree with everything that a country has."""

import pytest
import sqlalchemy as sa

from services.orgs import seed, store
from services.orgs.search import handlers as search
from shared.messages.orgs import SearchOrgs
from shared.messages.words import PEERS, System
from tests.orgs.search import said

WANTED = 0.95
EVERYWHERE = ("大学", "学院", "支部", "委员会", "大学团委")
"""Texts that names of every system have."""


@pytest.fixture(scope="module")
def country(engine):
    """The small tree of all provinces, cities and schools, committed; and the tree."""
    tree = list(seed.small_tree())
    with engine.begin() as tx:
        tx.execute(sa.text("TRUNCATE orgs, outbox"))
        store.load(tx, tree)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        tx.execute(sa.text("ANALYZE orgs"))
    return engine, tree


@pytest.mark.rule("SRCH-10")
def test_what_people_say(country):
    """SRCH-10: of more than 300 spoken forms 95 in 100 are found at rank 1 to 5."""
    engine, tree = country
    table = said.table(tree)[::2]
    assert len(table) >= 300 and len({one.rule for one in table}) >= 20
    with engine.connect() as tx:

        def ask(text, near):
            return [org.org_id for org in search.search_orgs(tx, SearchOrgs(text=text, near=near), None)]

        misses = said.missed(table, ask)
    print(said.account(table, misses))
    assert len(misses) <= (1 - WANTED) * len(table), said.account(table, misses)


@pytest.mark.rule("FED-02", "FED-05", "SRCH-08")
@pytest.mark.parametrize("system", System)
def test_a_system_is_searched_alone(country, system):
    """FED-02, FED-05, SRCH-08: one of the three, or everything but them; nothing else comes up.

    What people call the organisations of a system is found there as well as among all of them.
    """
    engine, tree = country
    with engine.connect() as tx:
        systems = dict(tx.execute(sa.text("SELECT org_id, system FROM orgs")).all())

        def ask(text, near, limit=20):
            item = SearchOrgs(text=text, near=near, limit=limit, system=system)
            found = search.search_orgs(tx, item, None)
            assert {systems[org.org_id] for org in found} <= {system}
            assert {org.system for org in found} <= {system}
            return [org.org_id for org in found]

        assert [text for text in EVERYWHERE if not ask(text, None, 50)] == []
        table = [one for one in said.table(tree) if systems[one.org_id] == system]
        table = table[:: max(1, len(table) // 150)]
        misses = said.missed(table, ask)
    assert len(table) >= 20
    assert len(misses) <= (1 - WANTED) * len(table), said.account(table, misses)


@pytest.mark.rule("BEY-20")
def test_all_trees_are_searched_at_once(country):
    """BEY-20: without a system the three trees are searched, too, and each hit says whose it is."""
    engine, _tree = country
    with engine.connect() as tx:
        found = {
            org.system
            for text in ("北京大学团委", "中山大学团委", "厦门大学团委", "武汉大学团委")
            for org in search.search_orgs(tx, SearchOrgs(text=text, limit=1), None)
        }
    assert found == {System.NATIONAL, *PEERS}

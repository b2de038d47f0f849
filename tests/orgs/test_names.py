"""Names of organisations: found as people write them, remembered when they change, built from the path."""
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.orgs import handlers, names, store
from shared.bus.service import Asked
from shared.messages.orgs import SearchOrgs, SetSchoolNumber
from tests.orgs.test_handlers import (  # noqa: F401
    CLASS,
    COLLEGE,
    OTHER_SCHOOL,
    SCHOOL,
    TREE,
    Seed,
    code,
    engine,
    events,
    found,
    loaded,
    of_class,
    of_college,
    of_school,
    save,
    tx,
)

FULL = "共青团江汉理工大学机械学院委员会"


def rename(tx, full_name, short_name="", org=COLLEGE, parent=SCHOOL, actor=of_college, **values):
    return save(tx, actor, org_id=org, parent_id=parent, full_name=full_name, short_name=short_name, **values)


# ---- finding ---------------------------------------------------------------------------------------------------------

@pytest.mark.rule("SRCH-10", "BEY-20", "SRCH-08")
@pytest.mark.parametrize("text, best", [
    ("江汉理工大学团委", SCHOOL), ("共青团江汉理工大学团委", SCHOOL), ("江汉理工大学委员会", SCHOOL), ("机械学院团委", COLLEGE), ("2022级1班团支部", CLASS),
    ("２０２２级１班团支部", CLASS), ("湖北团省委", 42), ("团湖北省委", 42), ("武汉团市委", 4201), ("团武汉市委", 4201), ("湖北省武汉市团委", 4201), ("2022级", CLASS)])
def test_short_forms(tx, text, best):
    """SRCH-10, BEY-20, SRCH-08: 武汉大学团委, 1班团支部, 湖北团省委, 团东城区委 and the like find what is stored as …委员会 or …支部委员会, with or without 共青团."""
    assert found(tx, text)[0] == best


@pytest.mark.rule("BEY-20", "ORG-10")
def test_former_and_short_names(tx):
    """BEY-20, ORG-10: after a new name the old ones find the organisation, too; so does its short name; an exact old name goes before a part of another's."""
    assert rename(tx, "共青团江汉理工大学智能制造学院委员会", "智造团委").refusal is None
    assert found(tx, FULL) == [COLLEGE] and found(tx, "智造团委") == [COLLEGE] and found(tx, "智能制造学院团委") == [COLLEGE]
    assert rename(tx, "共青团江汉理工大学未来技术学院委员会", "未来团委").refusal is None
    for text in (FULL, "机械学院委员会", "智造", "智能制造学院", "未来团委", "未来技术"):
        assert COLLEGE in found(tx, text), text
    rename(tx, "共青团江汉理工大学机械学院委员会二", org=SCHOOL, parent=42, actor=of_school)
    assert found(tx, FULL)[0] == COLLEGE
    assert rename(tx, FULL, "机械学院团委").refusal is None and found(tx, FULL)[0] == COLLEGE


@pytest.mark.rule("BEY-20", "ORG-10")
def test_former_names_where_a_text_is_common(tx, monkeypatch):
    """BEY-20: a former name is found in the neighbourhood of the searcher also where every piece of it is common."""
    rename(tx, "共青团江汉理工大学智能制造学院委员会")
    monkeypatch.setattr(store, "_frequent", lambda tx: (dict.fromkeys(names.bigrams(FULL), 10 ** 6), 10**7))
    monkeypatch.setattr(store, "_SEARCH", sa.text("SELECT 1 WHERE false"))  # the walk outward alone
    assert found(tx, "机械学院委员会", near=CLASS) == [COLLEGE]


@pytest.mark.rule("BEY-20", "SCH-03")
def test_codes(tx):
    """BEY-20: a division code, a school number and the number of an organisation find it, the highest first; in a subtree only what lies there."""
    tx.execute(sa.text("UPDATE orgs SET division_code = '420100' WHERE org_id IN (4201, :school, :class)"), {"school": SCHOOL, "class": CLASS})
    tx.execute(sa.text("UPDATE orgs SET industry = '普通高等院校' WHERE org_id = :school"), {"school": SCHOOL})
    handlers.set_school_numbers(tx, [Asked(SetSchoolNumber(command_id=uuid4(), org_id=SCHOOL, number="a142010486"), of_school)])
    assert found(tx, "420100") == [4201, SCHOOL, CLASS] or found(tx, "420100") == [SCHOOL, 4201, CLASS]
    assert found(tx, "A142010486") == found(tx, "a142010486") == [SCHOOL]
    assert found(tx, str(COLLEGE))[0] == COLLEGE
    assert found(tx, "420100", below=COLLEGE) == [CLASS] and found(tx, "420100", targets_only=True) == [SCHOOL, CLASS]


@pytest.mark.rule("BEY-20")
@pytest.mark.parametrize("before, full, short, also", [
    (None, FULL, "", ""), (None, FULL, "机械学院", ""), (None, FULL, "机械团委", "机械团委"),
    ({"full_name": FULL, "short_name": "机械团委", "also": "机械团委"}, "共青团江汉理工大学智造学院委员会", "智造团委", f"智造团委\n{FULL}\n机械团委")])
def test_what_is_remembered(before, full, short, also):
    """BEY-20: short and former names that the full name does not contain, the newest first, and the pieces of each for the index."""
    made = names.searchable(full, short, before)
    assert made["also"] == also
    assert set(made["bigrams"]) == {piece for name in (full, *also.split("\n")) for piece in names.bigrams(name)}


def test_only_so_many_names_are_remembered():
    """The newest names stay, so that a row does not grow without end."""
    org = {"full_name": "共青团甲委员会", "short_name": "甲", "also": ""}
    for n in range(40):
        full = f"共青团第{n}委员会"
        org = {**names.searchable(full, "", org), "full_name": full, "short_name": ""}
    kept = org["also"].split("\n")
    assert len(kept) == names.MOST_REMEMBERED and kept[0] == "共青团第38委员会"


@pytest.mark.rule("BEY-20")
def test_the_migration_finds_short_names_as_the_code_does(tx):
    """BEY-20: what was stored before is found by its short name as what is stored now."""
    from importlib import import_module

    tx.execute(sa.text("UPDATE orgs SET short_name = '机电 团委', also = '' WHERE org_id = :org"), {"org": COLLEGE})
    tx.execute(sa.text(import_module("services.orgs.migrations.versions.0007_names").SHORT_NAMES))
    row = store.by_ids(tx, [COLLEGE])[COLLEGE]
    made = names.searchable(row.full_name, "机电 团委")
    assert (row.also, set(row.bigrams)) == (made["also"], set(made["bigrams"])) and found(tx, "机电团委") == [COLLEGE]


@pytest.mark.rule("ORG-15")
def test_a_search_that_finds_none_looks_into_the_vertical_systems(tx):
    """ORG-15: an employer of a vertical system is not found in the province where it lies; asked so, the search goes on in the systems and says which.

    What the province has stays the answer.
    """
    store.load(tx, [*TREE, Seed(96, 1, "leading_body", "共青团全国民航委员会", "96"), Seed(97, 1, "leading_body", "共青团全国铁道委员会", "97"),
                    Seed(9701, 97, "committee", "共青团铁道武汉局委员会", "97"), Seed(44011, 44, "committee", "共青团铁道武汉局广州段委员会", "44")])
    ask = lambda text, below, **values: [(org.org_id, org.province) for org in handlers.search_orgs(  # noqa: E731
        tx, SearchOrgs(text=text, below=below, targets_only=True, **values), None)]
    assert ask("铁道武汉局", 42) == []
    assert ask("铁道武汉局", 42, systems=True) == [(9701, "97")]
    assert ask("江汉理工大学团委", 42, systems=True)[0] == (SCHOOL, "42")
    assert ask("没有这个单位", 42, systems=True) == []

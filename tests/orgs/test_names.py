"""Names of organisations: found as people write them, remembered when they change, built from the path."""

from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.orgs import handlers, names, spoken, store
from services.orgs.naming import handlers as naming
from services.orgs.naming import store as naming_store
from services.orgs.order import handlers as order
from services.orgs.search import handlers as search
from services.orgs.search import store as search_store
from shared import clock, db
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.orgs import (
    GetRebuild,
    ListChildren,
    OrderOrg,
    PreviewNames,
    RebuildNames,
    SearchOrgs,
    SetSchoolNumber,
)
from tests.orgs.factories import (
    CLASS,
    COLLEGE,
    OTHER_SCHOOL,
    PRESIDENT,
    SCHOOL,
    STRANGER,
    TOWN,
    TREE,
    Seed,
    code,
    events,
    found,
    of_college,
    of_school,
    save,
)

FULL = "共青团江汉理工大学机械学院委员会"


def rename(tx, full_name, short_name="", org=COLLEGE, parent=SCHOOL, actor=of_college, **values):
    return save(tx, actor, org_id=org, parent_id=parent, full_name=full_name, short_name=short_name, **values)


# ---- finding -------------------------------------------------------------------------------------


@pytest.mark.rule("SRCH-10", "BEY-20", "SRCH-08")
@pytest.mark.parametrize(
    "text, best",
    [
        ("江汉理工大学团委", SCHOOL),
        ("共青团江汉理工大学团委", SCHOOL),
        ("江汉理工大学委员会", SCHOOL),
        ("机械学院团委", COLLEGE),
        ("2022级1班团支部", CLASS),
        ("２０２２级１班团支部", CLASS),
        ("湖北团省委", 42),
        ("团湖北省委", 42),
        ("武汉团市委", 4201),
        ("团武汉市委", 4201),
        ("湖北省武汉市团委", 4201),
        ("2022级", CLASS),
    ],
)
def test_short_forms(tx, text, best):
    """SRCH-10, BEY-20, SRCH-08: the short ways in which people write a name find the stored one.

    武汉大学团委, 1班团支部, 湖北团省委, 团东城区委 and the like find what is stored
    as …委员会 or …支部委员会, with or without 共青团.
    """
    assert found(tx, text)[0] == best


@pytest.mark.rule("BEY-20", "ORG-10")
def test_former_and_short_names(tx):
    """BEY-20, ORG-10: after a new name the old ones find the organisation, too, and so does its short name.

    An exact old name goes before a part of another's.
    """
    assert rename(tx, "共青团江汉理工大学智能制造学院委员会", "智造团委").refusal is None
    assert (
        found(tx, FULL) == [COLLEGE]
        and found(tx, "智造团委") == [COLLEGE]
        and found(tx, "智能制造学院团委") == [COLLEGE]
    )
    assert rename(tx, "共青团江汉理工大学未来技术学院委员会", "未来团委").refusal is None
    for text in (FULL, "机械学院委员会", "智造", "智能制造学院", "未来团委", "未来技术"):
        assert COLLEGE in found(tx, text), text
    rename(tx, "共青团江汉理工大学机械学院委员会二", org=SCHOOL, parent=42, actor=of_school)
    assert found(tx, FULL)[0] == COLLEGE
    assert rename(tx, FULL, "机械学院团委").refusal is None and found(tx, FULL)[0] == COLLEGE


@pytest.mark.rule("BEY-20", "ORG-10")
def test_former_names_where_a_text_is_common(tx, monkeypatch):
    """BEY-20: a former name is found in the searcher's neighbourhood also where every piece is common."""
    rename(tx, "共青团江汉理工大学智能制造学院委员会")
    monkeypatch.setattr(
        search_store, "_frequent", lambda tx: (dict.fromkeys(names.bigrams(FULL), 10**6), 10**7)
    )
    monkeypatch.setattr(search_store, "_SEARCH", sa.text("SELECT 1 WHERE false"))  # the walk outward alone
    assert found(tx, "机械学院委员会", near=CLASS) == [COLLEGE]


@pytest.mark.rule("BEY-20", "SCH-03")
def test_codes(tx):
    """BEY-20: a division code, a school number and the number of an organisation find it.

    The highest comes first; in a subtree only what lies there is found.
    """
    tx.execute(
        sa.text("UPDATE orgs SET division_code = '420100' WHERE org_id IN (4201, :school, :class)"),
        {"school": SCHOOL, "class": CLASS},
    )
    tx.execute(
        sa.text("UPDATE orgs SET industry = '普通高等院校' WHERE org_id = :school"), {"school": SCHOOL}
    )
    handlers.set_school_numbers(
        tx, [Asked(SetSchoolNumber(command_id=uuid4(), org_id=SCHOOL, number="a142010486"), of_school)]
    )
    assert found(tx, "420100") == [4201, SCHOOL, CLASS] or found(tx, "420100") == [SCHOOL, 4201, CLASS]
    assert found(tx, "A142010486") == found(tx, "a142010486") == [SCHOOL]
    assert found(tx, str(COLLEGE))[0] == COLLEGE
    assert found(tx, "420100", below=COLLEGE) == [CLASS] and found(tx, "420100", targets_only=True) == [
        SCHOOL,
        CLASS,
    ]


@pytest.mark.rule("BEY-20")
@pytest.mark.parametrize(
    "before, full, short, also",
    [
        (None, FULL, "", ""),
        (None, FULL, "机械学院", ""),
        (None, FULL, "机械团委", "机械团委"),
        (
            {"full_name": FULL, "short_name": "机械团委", "also": "机械团委"},
            "共青团江汉理工大学智造学院委员会",
            "智造团委",
            f"智造团委\n{FULL}\n机械团委",
        ),
    ],
)
def test_what_is_remembered(before, full, short, also):
    """BEY-20: short and former names that the full name does not contain, the newest first.

    With the pieces of each for the index.
    """
    made = names.searchable("committee", full, short, before)
    assert made["also"] == also
    assert set(made["bigrams"]) == {
        piece for name in (full, *also.split("\n")) for piece in names.bigrams(name)
    }


def test_only_so_many_names_are_remembered():
    """The newest names stay, so that a row does not grow without end."""
    org = {"full_name": "共青团甲委员会", "short_name": "甲", "also": ""}
    for n in range(40):
        full = f"共青团第{n}委员会"
        org = {**names.searchable("committee", full, "", org), "full_name": full, "short_name": ""}
    kept = org["also"].split("\n")
    assert len(kept) == names.MOST_REMEMBERED and kept[0] == "共青团第38委员会"


@pytest.mark.rule("BEY-20")
def test_the_migration_finds_short_names_as_the_code_does(tx):
    """BEY-20: what was stored before is found by its short name as what is stored now."""
    from importlib import import_module

    tx.execute(
        sa.text("UPDATE orgs SET short_name = '机电 团委', also = '' WHERE org_id = :org"), {"org": COLLEGE}
    )
    tx.execute(sa.text(import_module("services.orgs.migrations.versions.0007_names").SHORT_NAMES))
    row = store.by_ids(tx, [COLLEGE])[COLLEGE]
    made = names.searchable(row.kind, row.full_name, "机电 团委")
    assert (row.also, set(row.bigrams)) == (made["also"], set(made["bigrams"])) and found(tx, "机电团委") == [
        COLLEGE
    ]


@pytest.mark.rule("ORG-15")
def test_a_search_that_finds_none_looks_into_the_vertical_systems(tx):
    """ORG-15: an employer of a vertical system is not found in the province where it lies.

    Asked so, the search goes on in the systems and says which.

    What the province has stays the answer.
    """
    store.load(
        tx,
        [
            *TREE,
            Seed(96, 1, "leading_body", "共青团全国民航委员会", "96"),
            Seed(97, 1, "leading_body", "共青团全国铁道委员会", "97"),
            Seed(9701, 97, "committee", "共青团铁道武汉局委员会", "97"),
            Seed(44011, 44, "committee", "共青团铁道武汉局广州段委员会", "44"),
        ],
    )

    def ask(text, below, **values):
        return [
            (org.org_id, org.province)
            for org in search.search_orgs(
                tx, SearchOrgs(text=text, below=below, targets_only=True, **values), None
            )
        ]

    assert ask("铁道武汉局", 42) == []
    assert ask("铁道武汉局", 42, systems=True) == [(9701, "97")]
    assert ask("江汉理工大学团委", 42, systems=True)[0] == (SCHOOL, "42")
    assert ask("没有这个单位", 42, systems=True) == []


# ---- building names anew -------------------------------------------------------------------------


@pytest.mark.rule("ORG-09")
@pytest.mark.parametrize(
    "above, short, purpose, full",
    [
        ("江汉理工大学", "机械学院团委", "ordinary", FULL),
        (
            "江汉理工大学机械学院",
            "2022级1班团支部",
            "graduate",
            "共青团江汉理工大学机械学院2022级1班支部委员会",
        ),
        ("湖北省", "武汉市团工委", "ordinary", "共青团湖北省武汉市工作委员会"),
        ("某厂", "一分厂团总支", "ordinary", "共青团某厂一分厂总支部委员会"),
        ("某大学", "流动团员团支部", "floating", "共青团某大学流动团员团支部"),
        ("某大学", "共青团某大学某支部委员会", "ordinary", None),
        ("某大学", "团委", "ordinary", None),
        ("某大学", "", "ordinary", None),
        ("某大学", "青年中心", "ordinary", None),
    ],
)
def test_a_name_from_the_path(above, short, purpose, full):
    """ORG-09: a name is the superior's stem, the own short name and the ending of the kind.

    What cannot be built stays. From a full name the stem comes back.
    """
    assert names.built(above, short, purpose) == full
    if full and purpose != "floating":
        assert spoken.stem(full).startswith(above) and spoken.stem(full) in full


@pytest.fixture
def short(loaded):
    """The tree with short names, and the school renamed since."""
    with loaded.begin() as connection:
        for org, name in (
            (COLLEGE, "机械学院团委"),
            (CLASS, "2022级1班团支部"),
            (42010, "出国（境）学习研究团员团支部"),
            (42013, "2018级1班团支部"),
        ):
            connection.execute(
                sa.text("UPDATE orgs SET short_name = :name WHERE org_id = :org"), {"org": org, "name": name}
            )
        save(connection, of_school, org_id=SCHOOL, parent_id=42, full_name="共青团荆楚理工大学委员会")
        connection.execute(sa.text("DELETE FROM outbox"))
    return loaded


AFTER = {
    SCHOOL: "共青团荆楚理工大学委员会",
    COLLEGE: "共青团荆楚理工大学机械学院委员会",
    CLASS: "共青团荆楚理工大学机械学院2022级1班支部委员会",
    42013: "共青团荆楚理工大学机械学院2018级1班支部委员会",
    42010: "共青团荆楚理工大学出国(境)学习研究团员团支部",
}


def full_names(tx):
    return {org: row.full_name for org, row in store.by_ids(tx, list(AFTER)).items()}


@pytest.mark.rule("ORG-09", "ORG-10")
@pytest.mark.parametrize("piece", [1, 2, 1000])
def test_a_subtree_is_named_anew(short, piece):
    """ORG-09, ORG-10: after a new name of the school everything below is named anew.

    In pieces that know the pieces before; each is told once, and found by the old name.
    """
    command = uuid4()
    with short.begin() as tx:
        asked = naming.rebuild_names(tx, [Asked(RebuildNames(command_id=command, org_id=SCHOOL), of_school)])[
            0
        ]
        assert (asked.refusal, asked.done) == (None, False) and "江汉" in full_names(tx)[CLASS]
    database, turns = db.Database(short), 0
    while naming.rebuild_one(database, piece):
        turns += 1
    assert turns >= 4 / piece
    with short.begin() as tx:
        assert full_names(tx) == AFTER
        done = naming.get_rebuild(tx, GetRebuild(command_id=command), of_school)
        assert (done.looked_at, done.changed, done.done) == (4, 4, True)
        assert sorted(one["org_id"] for one in events(tx, "org_changed")) == sorted({*AFTER} - {SCHOOL})
        assert (
            tx.scalar(
                sa.text(
                    "SELECT count(*) FROM audit_log"
                    " WHERE kind = 'org.edited' AND place_id = ANY(:ids) AND person_id = :by"
                    " AND at > now() - interval '1 minute'"
                ),
                {"ids": [COLLEGE, CLASS, 42010, 42013], "by": PRESIDENT},
            )
            >= 4
        )
        assert CLASS in found(tx, "江汉理工大学机械学院2022级1班团支部")
        again = naming.rebuild_names(tx, [Asked(RebuildNames(command_id=command, org_id=SCHOOL), of_school)])[
            0
        ]
        assert again.done and not naming.rebuild_one(database)
        assert (
            naming.rebuild_names(tx, [Asked(RebuildNames(command_id=command, org_id=COLLEGE), of_college)])[
                0
            ].refusal.code
            == "command_taken"
        )


def test_of_two_senders_at_once_the_second_is_told_nothing(tx, monkeypatch):
    """A rebuild that somebody else has asked for under this id meanwhile is theirs to see."""
    command = uuid4()
    first = naming.rebuild_names(tx, [Asked(RebuildNames(command_id=command, org_id=SCHOOL), of_school)])[0]
    assert first.refusal is None
    # at the first look it was not there yet
    looks = iter([lambda tx, ids: {}])
    seen = naming_store.by_command
    monkeypatch.setattr(naming_store, "by_command", lambda tx, ids: next(looks, seen)(tx, ids))
    late = naming.rebuild_names(tx, [Asked(RebuildNames(command_id=command, org_id=COLLEGE), of_college)])[0]
    assert (late.refusal.code, late.org_id) == ("command_taken", None)


@pytest.mark.rule("ORG-09", "ORG-13", "ORG-14")
def test_a_preview_changes_nothing(short):
    """ORG-09: what would change is shown first, with names that are not unique.

    ORG-13: vaults and provincial bodies stay. ORG-14: only the organisation's or the superior's
    administrators ask.
    """
    with short.connect() as tx:
        before = full_names(tx)
        shown = naming.preview_names(tx, PreviewNames(org_id=SCHOOL), of_school)
        assert {one.org_id: one.new for one in shown.changes} == {
            org: name for org, name in AFTER.items() if org != SCHOOL
        }
        assert (shown.looked_at, shown.changed, shown.more, shown.shared) == (4, 4, False, []) and full_names(
            tx
        ) == before
        tx.execute(
            sa.text(
                "UPDATE orgs SET full_name = (SELECT full_name FROM orgs WHERE org_id = :class)"
                " WHERE org_id = 42013"
            ),
            {"class": CLASS},
        )
        assert naming.preview_names(tx, PreviewNames(org_id=COLLEGE), of_school).shared == [before[CLASS]]
        for org, actor in (
            (SCHOOL, of_college),
            (CLASS, of_school),
            (SCHOOL, Actor(STRANGER, OTHER_SCHOOL)),
            (SCHOOL, Actor(STRANGER, SCHOOL)),
        ):
            with pytest.raises(Refused, match="not_your_org"):
                naming.preview_names(tx, PreviewNames(org_id=org), actor)
            assert (
                naming.rebuild_names(tx, [Asked(RebuildNames(command_id=uuid4(), org_id=org), actor)])[
                    0
                ].refusal.code
                == "not_your_org"
            )
        tx.execute(sa.text("UPDATE orgs SET short_name = '湖北团委' WHERE org_id IN (42, 42999)"))
        assert not {
            one.org_id for one in naming.preview_names(tx, PreviewNames(org_id=1), Actor(1, 1)).changes
        } & {1, 42, 42999, 44}
        tx.rollback()


@pytest.mark.rule("ORG-09")
def test_who_is_renamed_meanwhile_keeps_that(short):
    """ORG-09: an organisation that somebody renames between the look and the change keeps what was given."""
    from services.orgs.naming import store as naming_store

    with short.begin() as tx:
        rows = naming_store.below(tx, store.by_ids(tx, [SCHOOL])[SCHOOL].path, "1.42.420.", 10)
        rename(tx, "共青团手工命名委员会")
        renamed = naming_store.rename(
            tx,
            [
                {
                    "org_id": row.org_id,
                    "full_name": name,
                    "version": row.version,
                    **names.searchable(row.kind, name, row.short_name, dict(row._mapping)),
                }
                for row, name in naming.changes(rows, {})
            ],
        )
        assert (
            COLLEGE not in renamed and CLASS in renamed and full_names(tx)[COLLEGE] == "共青团手工命名委员会"
        )


@pytest.mark.rule("ORG-09")
def test_a_unique_full_name_is_offered(tx):
    """ORG-09: on wish a full name that another living organisation has is refused; by default it is not."""
    values = {"parent_id": SCHOOL, "full_name": " 共青团江汉理工大学 机械学院委员会"}
    assert code(save(tx, of_school, kind="committee", unique_name=True, **values)) == "name_taken"
    assert rename(tx, FULL, unique_name=True).refusal is None
    assert save(tx, of_school, kind="committee", **values).refusal is None
    assert code(rename(tx, FULL, unique_name=True)) == "name_taken"


@pytest.mark.rule("ORG-28")
@pytest.mark.parametrize(
    "preset, label", [("national", "流动团员团支部"), ("p000", "学社衔接临时团支部"), ("p003", "流动团支部")]
)
def test_the_name_of_a_hand_over_branch(tx, tmp_path, configure, preset, label):
    """ORG-28: a hand-over branch without a name is called what such branches are called on the day.

    It is found under every name they have had.
    """
    file = tmp_path / "practice.toml"
    file.write_text(
        f'[[from]]\nday = 2020-01-01\nprovince = "42"\npreset = "{preset}"\n'
        '[[from]]\nday = 2999-01-01\npreset = "national"'
    )
    configure(TUANQIAO_PRACTICE=str(file))
    tx.execute(
        sa.text(
            "UPDATE orgs SET kind = 'committee', purpose = 'township', full_name = '共青团某镇委员会'"
            " WHERE org_id = 4201"
        )
    )
    store.set_administrators(tx, [{"org_id": 4201, "person_id": 3001, "active": True}], clock.now(), None)
    made = save(tx, Actor(3001, 4201), parent_id=4201, purpose="handover").org_id
    assert store.by_ids(tx, [made])[made].full_name == f"共青团某镇{label}"
    for name in ("流动团员团支部", "学社衔接临时团支部", "流动团支部"):
        assert made in found(tx, f"某镇{name}")


@pytest.mark.rule("ORG-10", "ORG-09")
def test_renaming_touches_one_row(tx):
    """ORG-09, ORG-10: a renamed body changes one row and tells of one, however many stand below it."""
    city = store.by_ids(tx, [TOWN])[TOWN]
    before = tx.scalar(sa.text("SELECT txid_current()"))
    store.save(tx, [{**city._asdict(), "full_name": "共青团武汉委员会", "version": city.version + 1}])
    assert tx.scalar(sa.text("SELECT count(*) FROM orgs WHERE xmin::text = :tx"), {"tx": str(before)}) == 1
    assert len(events(tx, "org_changed")) == 1


# ---- order ---------------------------------------------------------------------------------------


def put(tx, *moves, actor=of_school):
    return [
        code(one)
        for one in order.order_orgs(
            tx, [Asked(OrderOrg(org_id=org, after=after), actor) for org, after in moves]
        )
    ]


def order_of(tx, parent=SCHOOL):
    return [one.org_id for one in handlers.list_children(tx, ListChildren(org_id=parent), of_school)]


@pytest.mark.rule("ORG-24", "ORG-43")
def test_subordinates_in_another_order(tx):
    """ORG-24, ORG-43: up and down among the subordinates of one superior, kept for everybody.

    As often as said, several in one list; nobody is told.
    """
    new = [save(tx, of_school, parent_id=SCHOOL, full_name=f"共青团某{n}支部委员会").org_id for n in range(2)]
    tx.execute(
        sa.text("UPDATE orgs SET display_order = 7 WHERE parent_id = :school"), {"school": SCHOOL}
    )  # as after an import: all alike
    told = len(events(tx, "org_changed"))
    assert order_of(tx) == [42010, COLLEGE, *new]
    assert put(tx, (new[1], None)) == [None] and order_of(tx) == [new[1], 42010, COLLEGE, new[0]]
    assert put(tx, (new[1], 42010), (new[1], 42010)) == [None, None] and order_of(tx) == [
        42010,
        new[1],
        COLLEGE,
        new[0],
    ]
    assert put(tx, (42010, new[0]), (COLLEGE, None)) == [None, None] and order_of(tx) == [
        COLLEGE,
        new[1],
        new[0],
        42010,
    ]
    assert put(tx, (COLLEGE, COLLEGE)) == [None] and order_of(tx) == [COLLEGE, new[1], new[0], 42010]
    assert len(events(tx, "org_changed")) == told


@pytest.mark.rule("ORG-24")
@pytest.mark.parametrize(
    "move, actor, said",
    [
        ((COLLEGE, 42010), of_college, "not_your_org"),
        ((COLLEGE, 42010), Actor(STRANGER, OTHER_SCHOOL), "not_your_org"),
        ((COLLEGE, 42010), Actor(STRANGER, SCHOOL), "not_your_org"),
        ((COLLEGE, CLASS), of_school, "unknown_org"),
        ((999, None), of_school, "unknown_org"),
        ((1, None), Actor(1, 1), "unknown_org"),
        ((COLLEGE, None), of_school, None),
    ],
)
def test_who_orders(tx, move, actor, said):
    """ORG-24: the administrators of the direct superior, among its own subordinates."""
    assert put(tx, move, actor=actor) == [said]

"""Search, unmasked numbers, exports, work lists, entry progress: on a real database."""

import json
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from services.members import handlers, store
from services.members.entering import handlers as entering
from services.members.identity import handlers as identity
from services.members.lists import handlers as lists
from services.members.lists import store as lists_store
from services.members.records import showing
from services.members.records import store as records_store
from services.members.sealing import seal
from services.members.sealing.keys import keys as secret_keys
from shared import clock, db, directory
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import (
    DescribePeople,
    ExportMembers,
    GetEntryProgress,
    ListBelow,
    RevealIds,
    SearchMembers,
    WhoAmI,
)
from shared.messages.orgs import OrgChanged
from shared.practice import Practice
from tests.members.factories import (
    BRANCH,
    CLASS,
    COLLEGE,
    DEEP,
    ONE,
    ROOT,
    SCHOOL,
    TARGET,
    THREE,
    TWO,
    XINJIANG,
    admin,
    admit,
    assigned,
    number,
    person,
    request,
)
from tests.members.joining.factories import new, post
from tests.members.lists.factories import edit, report


def search(tx, text, actor=None, **values):
    return [
        one.member_id
        for one in lists.search_members(tx, SearchMembers(text=text, **values), actor or admin(SCHOOL)).items
    ]


def refusal(action, *args) -> str:
    with pytest.raises(Refused) as caught:
        action(*args)
    return caught.value.code


# ---- search --------------------------------------------------------------------------------------


@pytest.mark.rule("SRCH-03", "SRCH-05", "SRCH-06")
def test_search(tx):
    """SRCH-03, SRCH-05: by ID number, exact name or development number.

    In the own organisation and below, and nowhere else.
    """
    name = store.by_ids(tx, [ONE])[ONE].name
    for text in (number(1), f" {number(1)} ", name, "202000000001"):
        assert search(tx, text) == [ONE]
        assert search(tx, text, admin(CLASS)) == [ONE]
        assert search(tx, text, admin(TARGET)) == []
        assert search(tx, text, admin(COLLEGE)) == []
    assert search(tx, name[:1]) == []
    assert refusal(search, tx, " ") == "field_missing"
    assert refusal(search, tx, name, Actor(ONE)) == "not_administrator"


def below(tx, actor=None, org=SCHOOL, **values):
    """Return the names of members of an organisation and below, page by page of two."""
    found, after = [], 0
    while True:
        wanted = ListBelow(org_id=org, limit=2, after=after, **values)
        page = lists.list_below(tx, wanted, actor or admin(SCHOOL))
        if not page:
            return found
        found += [one.member.name for one in page]
        after = page[-1].member.member_id


@pytest.mark.rule("MEM-28")
def test_the_members_below_in_several_orders(tx, monkeypatch):
    """MEM-28: members of a subtree are listed branch by branch, by name or by day, both ways, narrowed.

    Names are in the order of dictionaries; pages miss nobody and repeat nobody, also where many
    have one name or day. Where they are too many they are not sorted, and that is said.
    """
    one = sorted(below(tx))

    def newcomer(n, branch, name, year):
        number = f"{year}{n:08d}"
        return person(n, branch, name=name, joined_on=date(year, 5, 4), development_number=number)

    admit(tx, newcomer(72, CLASS, "艾一", 2019), newcomer(73, CLASS, "张三", 2018))
    admit(tx, newcomer(71, DEEP, "张三", 2021), newcomer(74, DEEP, "张三", 2018), org=COLLEGE)
    assert sorted(below(tx)) == sorted([*one, "艾一", "张三", "张三", "张三"])
    by_name = below(tx, sort="name")
    assert by_name[0] == "艾一" and by_name[-3:] == ["张三"] * 3 and len(by_name) == len(one) + 4
    assert below(tx, sort="-name") == by_name[::-1]
    assert below(tx, sort="joined_on")[:3] == ["张三", "张三", "艾一"]
    assert below(tx, sort="-joined_on") == below(tx, sort="joined_on")[::-1]
    assert below(tx, sort="-joined_on", name="张") == ["张三"] * 3 == below(tx, name="张")
    assert below(tx, admin(CLASS), CLASS, sort="name", name="艾") == ["艾一"]
    assert refusal(below, tx, admin(CLASS)) == "not_your_org"
    monkeypatch.setattr(
        lists_store,
        "_MORE_THAN_SORTED",
        sa.text(lists_store._MORE_THAN_SORTED.text.replace("OFFSET 100000", "OFFSET 3")),
    )
    assert refusal(lambda: below(tx, sort="name")) == "too_many_to_sort"
    assert below(tx, sort="name", name="张") == ["张三"] * 3


@pytest.mark.rule("SRCH-04")
def test_too_many_hits(tx):
    """SRCH-04: of more than 50 hits it is said that there are others.

    An organisation narrows the search; one outside is refused.
    """
    entering.seed_people(
        tx,
        [
            (5000 + n, person(100 + n, CLASS if n < 60 else DEEP, name="李娜", development_number=""))
            for n in range(70)
        ],
    )
    found = lists.search_members(tx, SearchMembers(text="李娜"), admin(SCHOOL))
    assert (len(found.items), found.more) == (50, True)
    assert len(search(tx, "李娜", below=DEEP)) == 10
    assert refusal(lambda: search(tx, "李娜", below=TARGET)) == "not_your_org"


# ---- unmasked numbers and exports ----------------------------------------------------------------


@pytest.mark.rule("MEM-32", "BEY-10")
def test_unmasked_numbers_are_logged(tx):
    """MEM-32, BEY-10: ID numbers in full, to those above, with a reason.

    Who saw whom is in the log, the numbers are not.
    """
    (shown,) = lists.reveal_ids(tx, RevealIds(person_ids=[ONE, 999], reason="核对毕业生名单"), admin(SCHOOL))
    assert shown.id_number == number(1)
    row = tx.execute(sa.text("SELECT * FROM audit_log WHERE kind = 'view.unmasked'")).one()
    assert (row.person_id, row.org_id, row.place_id, row.persons, row.note) == (
        100 + SCHOOL,
        SCHOOL,
        SCHOOL,
        [ONE],
        "核对毕业生名单",
    )
    assert number(1) not in str(tx.execute(sa.text("SELECT * FROM audit_log")).all())
    assert (
        refusal(lists.reveal_ids, tx, RevealIds(person_ids=[ONE], reason=" "), admin(SCHOOL))
        == "access_reason_missing"
    )
    assert (
        refusal(lists.reveal_ids, tx, RevealIds(person_ids=[ONE], reason="x"), admin(TARGET))
        == "unknown_member"
    )
    assert (
        refusal(lists.reveal_ids, tx, RevealIds(person_ids=list(range(51)), reason="x"), admin(SCHOOL))
        == "too_many_items"
    )


@pytest.mark.rule("MEM-32", "BEY-10", "DOC-06")
def test_export(tx):
    """BEY-10: an export pages through the subtree, branch by branch, and each page is logged.

    It is masked unless a reason is given.
    """
    entering.seed_people(
        tx, [(5000 + n, person(100 + n, CLASS if n % 2 else DEEP, development_number="")) for n in range(25)]
    )
    everyone, after = [], 0
    while some := lists.export_members(tx, ExportMembers(after=after, limit=10), admin(SCHOOL)):
        assert len(some) <= 10
        everyone += some
        after = some[-1].member.member_id
    assert len(everyone) == 28 and len({one.member.member_id for one in everyone}) == 28
    assert all("****" in one.id_number for one in everyone)
    assert {one.branch for one in everyone} == {str(CLASS), str(DEEP)}
    full = lists.export_members(tx, ExportMembers(full=True, reason="上报", limit=500), admin(CLASS))
    assert number(1) in {one.id_number for one in full}
    assert (
        refusal(lists.export_members, tx, ExportMembers(full=True), admin(SCHOOL)) == "access_reason_missing"
    )
    assert tx.execute(
        sa.text(
            "SELECT kind, count(*), sum(cardinality(persons)) FROM audit_log"
            " WHERE starts_with(kind, 'export') GROUP BY kind ORDER BY 1"
        )
    ).all() == [("export.full", 1, len(full)), ("export.members", 3, 28)]


@pytest.mark.rule("ORG-07", "ORG-38", "DEL-13", "STAT-16")
def test_lists_of_branches(tx):
    """ORG-07: branches with fewer than three members are listed.

    DEL-13: so are graduates' branches whose members have all left, to be deleted.

    ORG-38 asks for that deletion.
    """
    assert {(one.org_id, one.note) for one in report(tx, "small_branches")} == {
        (CLASS, "2"),
        (DEEP, "1"),
        (BRANCH, "0"),
        (8, "0"),
    }
    assert report(tx, "empty_graduate") == []
    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=BRANCH,
                parent_id=TARGET,
                path="1.4.5.",
                kind="branch",
                purpose="graduate",
                province="42",
                system="national",
                provincial_id=ROOT,
                vault_id=None,
                name="5",
                version=2,
                deleted=False,
            )
        ],
    )
    assert [one.org_id for one in report(tx, "empty_graduate")] == [BRANCH]
    assert report(tx, "empty_graduate", admin(SCHOOL)) == []


@pytest.mark.rule("ORG-05")
def test_organisations_that_hold_members(tx):
    """ORG-05: an organisation that is no branch and has members is listed.

    It is to become one or get one below.
    """
    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=DEEP,
                parent_id=COLLEGE,
                path="1.2.6.7.",
                kind="general_branch",
                purpose="ordinary",
                province="42",
                system="national",
                provincial_id=ROOT,
                vault_id=None,
                name="7",
                version=2,
                deleted=False,
            )
        ],
    )
    assert [(one.org_id, one.note) for one in report(tx, "holding_members")] == [(DEEP, "1")]


@pytest.mark.rule("MEM-25", "MEM-26")
def test_over_age(tx):
    """MEM-25, MEM-26: a member of 28 who holds no post is listed and otherwise left alone."""
    assert report(tx, "over_age") == []
    clock.advance(timedelta(days=365 * 8))
    assert [one.member_id for one in report(tx, "over_age")] == [ONE, TWO, THREE]
    post(tx, CLASS, "secretary", person_id=ONE)
    assert [one.member_id for one in report(tx, "over_age", after=0, limit=1)] == [TWO]
    assert store.by_ids(tx, [TWO])[TWO].branch_id == CLASS


@pytest.mark.rule("MEM-22", "MEM-23", "MEM-02", "MEM-31")
def test_complete_records(tx):
    """MEM-22: complete when every required field is filled, whatever the identity check says.

    MEM-23: the person is told what is missing.

    MEM-31: emergency and common contact, sealed at rest.
    """

    def me():
        return showing.who_am_i(tx, WhoAmI(), Actor(ONE))

    assert (me().hints, me().member.missing) == ([], [])
    assert edit(tx, phone="", emergency_contact="母亲 19900000099", contact="wx", party=True) is None
    after = me()
    assert (after.hints, after.member.missing) == (["profile_incomplete"], ["phone"])
    assert [one.member_id for one in report(tx, "incomplete")] == [ONE]
    assert [one.member_id for one in report(tx, "incomplete", name="王")] == [ONE]
    assert report(tx, "incomplete", name="没有") == []
    member = showing.describe_people(tx, DescribePeople(person_ids=[ONE]), admin(ROOT))[0]
    assert (
        member.emergency_contact,
        member.contact,
        member.party,
        member.sex,
        member.age,
        member.league_years,
    ) == (
        "母亲 19900000099",
        "wx",
        True,
        "male" if int(number(1)[16]) % 2 else "female",
        clock.today().year - 2005,
        member.league_years,
    )
    sealed = tx.execute(
        sa.text("SELECT emergency_sealed FROM people WHERE person_id = :one"), {"one": ONE}
    ).scalar()
    assert b"19900000099" not in bytes(sealed)


@pytest.mark.rule("MEM-22")
@pytest.mark.parametrize(
    "ethnic_group, joined_on, development_number, missing",
    [
        ("汉族", date(2016, 5, 4), "", []),
        ("汉族", date(2017, 1, 1), "", ["development_number"]),
        ("", date(2016, 5, 4), "", ["ethnic_group"]),
        ("汉族", None, "", ["joined_on"]),
    ],
)
def test_column_and_rule_agree(tx, ethnic_group, joined_on, development_number, missing):
    """MEM-22: the column that is counted says what the rule says."""
    tx.execute(
        sa.text(
            "UPDATE people SET ethnic_group = :g, joined_on = :j, development_number = :d"
            " WHERE person_id = :one"
        ),
        {"g": ethnic_group, "j": joined_on, "d": development_number, "one": ONE},
    )
    row = store.by_ids(tx, [ONE])[ONE]
    assert (showing.shown(row, True).missing, row.complete) == (missing, not missing)


@pytest.mark.rule("MEM-30")
def test_arrivals_are_contacted(tx):
    """MEM-30: a member who arrives by a transfer is listed until the organisation reports contact.

    The member cannot say so.
    """
    handlers.on_transfer_requested(tx, [request(10)])
    handlers.on_branch_assigned(tx, [assigned(10)])
    assert [one.member_id for one in report(tx, "to_contact", admin(TARGET))] == [ONE]
    assert edit(tx, actor=Actor(ONE), contacted=True) is None
    assert len(report(tx, "to_contact", admin(TARGET))) == 1
    assert edit(tx, actor=admin(BRANCH), contacted=True) is None
    assert report(tx, "to_contact", admin(TARGET)) == []


@pytest.mark.rule("MEM-13", "MSG-08")
def test_irregular_numbers(tx):
    """MEM-13: an irregular development number is listed, and its owner told at every sign-in.

    Until it is corrected.

    MSG-08: the person is prompted.
    """
    tx.execute(
        sa.text("UPDATE people SET development_number = '2019-1' WHERE person_id = :one"), {"one": ONE}
    )
    assert showing.who_am_i(tx, WhoAmI(), Actor(ONE)).hints == ["development_number_form"]
    assert [(one.member_id, one.note) for one in report(tx, "irregular_numbers")] == [(ONE, "2019-1")]
    assert edit(tx, actor=Actor(ONE), development_number="202000000333") is None
    assert showing.who_am_i(tx, WhoAmI(), Actor(ONE)).hints == [] and report(tx, "irregular_numbers") == []


@pytest.mark.rule("MEM-13", "MEM-08", "MEM-22")
@pytest.mark.parametrize(
    ("province", "joined_on", "irregular"),
    [
        ("65", date(2016, 1, 1), True),
        ("65", date(2015, 12, 31), False),
        ("42", date(2016, 12, 31), False),
        ("42", date(2017, 1, 1), True),
    ],
)
def test_numbers_in_xinjiang(tx, province, joined_on, irregular):
    """MEM-08, MEM-13, MEM-22: a missing number is asked for from 2017 on, in Xinjiang from 2016.

    By the list, the profile and its completeness; also of members who have moved there or away.
    """
    home, away = (XINJIANG, CLASS) if province == "65" else (CLASS, XINJIANG)
    for member, branch, number_ in ((8001, home, 91), (8002, away, 92)):
        entering.seed_people(
            tx, [(member, person(number_, branch, joined_on=joined_on, development_number=""))]
        )
    handlers.on_transfer_requested(tx, [request(10, 8002, source=away, target=home)])
    handlers.on_branch_assigned(tx, [assigned(10, 8002, home)])

    for member in (8001, 8002):
        profile = showing.who_am_i(tx, WhoAmI(), Actor(member))
        assert (
            "development_number_missing" in profile.hints,
            "development_number" in profile.member.missing,
        ) == (irregular, irregular)
        assert (member in [one.member_id for one in report(tx, "irregular_numbers")]) is irregular
        assert (member in [one.member_id for one in report(tx, "incomplete")]) is irregular


@pytest.mark.rule("MEM-13", "MEM-11")
def test_numbers_outside_the_issued_ranges(tx, configure, tmp_path):
    """MEM-11, MEM-13: a number outside the province's ranges for its year is listed, and the person told.

    Where no ranges are known, none is.
    """
    file = tmp_path / "ranges.csv"
    file.write_text(
        "province,year,first,last\n42,2020,202000000002,202000000002\n42,2020,202000000100,202000000199\n"
        "42,2019,201900000001,201900000002\n"
    )
    configure(TUANQIAO_NUMBER_RANGES=str(file))
    assert [one.member_id for one in report(tx, "irregular_numbers")] == [ONE, THREE]
    assert (
        showing.who_am_i(tx, WhoAmI(), Actor(ONE)).hints == ["number_out_of_range"]
        and showing.who_am_i(tx, WhoAmI(), Actor(TWO)).hints == []
    )
    file.write_text("province,year,first,last\n11,2020,202000000002,202000000002\n")
    configure(TUANQIAO_NUMBER_RANGES=str(file))
    assert report(tx, "irregular_numbers") == []


def test_unknown_list(tx):
    """A list that does not exist is refused by its name."""
    assert refusal(report, tx, "everything") == "unknown_report"
    assert all(report(tx, kind) is not None for kind in lists_store.REPORTS)


# ---- identity checks -----------------------------------------------------------------------------


@pytest.mark.rule("MEM-15", "MEM-16", "MEM-17", "MEM-18", "MEM-20", "DOC-05")
def test_identity_checks(engine):
    """MEM-15..20: everybody starts unchecked and batches are asked for.

    Answers change the state and nothing else; what failed is tried again later.
    """
    asked = []

    def checker(people):
        asked.append(people)
        return {one.ref: one.ref != str(TWO) for one in people if one.ref != str(THREE)}

    def states():
        with engine.connect() as tx:
            return {one: store.by_ids(tx, [one])[one].identity_check for one in (ONE, TWO, THREE)}

    assert set(states().values()) == {"unchecked"}
    database = db.Database(engine)
    try:
        with engine.begin() as tx:
            tx.execute(sa.text("UPDATE people SET reserved_by = 77 WHERE person_id <> :one"), {"one": ONE})
        assert identity.check_batch(database, checker) == 3
        with engine.begin() as tx:
            # whoever decides about TWO is to see it; of THREE nothing was found
            (body,) = tx.scalars(sa.text("DELETE FROM outbox WHERE topic = 'member_reserved' RETURNING body"))
            tx.execute(sa.text("UPDATE people SET reserved_by = NULL"))
        (again,) = json.loads(body)
        assert (again["transfer_id"], again["member_id"], again["identity_check"]) == (77, TWO, "failed")
        assert again["name"]
        assert identity.check_batch(database, checker) == 0
        assert states() == {ONE: "passed", TWO: "failed", THREE: "unchecked"}
        assert set(asked[0][0]._fields) == {"ref", "name", "id_number"} and {
            one.id_number for one in asked[0]
        } == {number(1), number(2), number(3)}
        with engine.begin() as tx:
            assert showing.who_am_i(tx, WhoAmI(), Actor(TWO)).hints == ["identity_failed"]
            assert [one.member_id for one in report(tx, "identity_failed")] == [TWO]
            assert edit(tx, TWO, Actor(TWO), ethnic_group="汉族") is None
        clock.advance(timedelta(days=31))
        assert identity.check_batch(database, lambda people: {one.ref: True for one in people}) == 2
        assert set(states().values()) == {"passed"}
        assert identity.check_batch(database, checker) == 0
        assert identity.PAUSE.total_seconds() > identity.LOOK_AGAIN_SECONDS
    finally:
        with engine.begin() as tx:
            tx.execute(
                sa.text("UPDATE people SET identity_check = 'unchecked', identity_checked_at = '1970-01-01'")
            )


@pytest.mark.rule("MEM-17", "MEM-18")
def test_a_silent_identity_service(engine):
    """MEM-18: a service that does not answer changes nothing; the batch goes to the end of the line."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            import json

            people = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["people"]
            body = json.dumps(
                {
                    "results": [
                        {"ref": people[0]["ref"], "match": True},
                        {"ref": "1"},
                        {"ref": "88", "match": False},
                    ]
                }
            ).encode()
            self.send_response(200 if self.headers["Authorization"] == "Bearer secret" else 401)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    people = [identity.Citizen("7", "王", "1"), identity.Citizen("8", "李", "2")]
    try:
        assert identity.over_http(url, "secret")(people) == {"7": True}
        with pytest.raises(OSError):
            identity.over_http(url, "wrong")(people)
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(OSError):
        identity.check_batch(db.Database(engine), identity.over_http(url))
    assert identity.check_batch(db.Database(engine), lambda people: {}) == 0
    clock.advance(timedelta(hours=2))
    assert identity.check_batch(db.Database(engine), lambda people: {}) == 3
    with engine.begin() as tx:
        assert store.by_ids(tx, [ONE])[ONE].identity_check == "unchecked"
        tx.execute(sa.text("UPDATE people SET identity_checked_at = '1970-01-01'"))


# ---- entry progress ------------------------------------------------------------------------------


def progress(tx, org=ROOT, actor=None, **values):
    return lists.get_entry_progress(tx, GetEntryProgress(org_id=org, **values), actor or admin(ROOT))


@pytest.mark.rule(
    "STAT-01",
    "STAT-02",
    "STAT-03",
    "STAT-04",
    "STAT-06",
    "STAT-07",
    "STAT-09",
    "STAT-17",
    "MEM-18",
    "CADRE-09",
    "CADRE-10",
    "CADRE-11",
)
def test_entry_progress(tx):
    """STAT-02..07: live figures of an organisation with all below it, and of each subordinate.

    A record is finished as CADRE-09..11 and MEM-22 say.

    STAT-01, STAT-09: counted as things stand; STAT-17: whose identity is not checked counts.
    """
    records_store.edit(tx, [])
    lists_store.set_figures(tx, [{"org_id": SCHOOL, "members": 40}])
    total, *parts = progress(tx)
    assert (total.org_id, total.branches, total.finished_branches, total.members, total.complete_members) == (
        ROOT,
        4,
        0,
        3,
        3,
    )
    school = next(part for part in parts if part.org_id == SCHOOL)
    assert (
        school.branches,
        school.bodies,
        school.finished_bodies,
        school.members,
        school.cadres,
        school.members_2017,
    ) == (2, 2, 0, 3, 0, 40)

    post(tx, CLASS, "secretary", ethnic_group="汉族", **new(60))  # with two members: three
    post(tx, SCHOOL, "secretary", ethnic_group="汉族", **new(61))
    post(tx, SCHOOL, "publicist", person_id=ONE)
    post(tx, ROOT, "secretary", ethnic_group="汉族", **new(62))
    total, *parts = progress(tx)
    school = next(part for part in parts if part.org_id == SCHOOL)
    assert (school.finished_branches, school.finished_bodies, school.cadres, school.complete_cadres) == (
        1,
        1,
        3,
        3,
    )
    assert (total.finished_bodies, total.cadres) == (2, 4)

    edit(tx, TWO, phone="")
    assert next(part for part in progress(tx)[1:] if part.org_id == SCHOOL).finished_branches == 0
    assert next(part for part in progress(tx, SCHOOL, admin(SCHOOL)) if part.org_id == CLASS).members == 2
    assert refusal(progress, tx, TARGET, admin(SCHOOL)) == "not_your_org"


@pytest.mark.rule("SCH-08", "STAT-08", "ORG-26")
def test_progress_of_schools_and_domains(tx):
    """SCH-08, ORG-26: the schools among the subordinates alone, and the figures of one domain alone.

    STAT-08: as asked for schools.
    """
    tx.execute(sa.text("UPDATE org_directory SET industry = ''"))
    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=org,
                parent_id=parent,
                path=path,
                kind=kind,
                purpose="ordinary",
                province="42",
                system="national",
                provincial_id=ROOT,
                vault_id=None,
                name=str(org),
                version=2,
                deleted=False,
                industry="普通高等院校",
            )
            for org, parent, path, kind in ((SCHOOL, 1, "1.2.", "committee"), (CLASS, 2, "1.2.3.", "branch"))
        ],
    )
    total, *parts = progress(tx, schools_only=True)
    assert [part.org_id for part in parts] == [SCHOOL] and total.members == 3
    total, *_ = progress(tx, domain="school")
    assert (total.branches, total.members) == (1, 2)
    assert progress(tx, domain="rural")[0].members == 0
    assert refusal(lambda: progress(tx, domain="sea")) == "bad_request"


# ---- keys ----------------------------------------------------------------------------------------


def test_keys_rotate(tx, tmp_path):
    """A new key seals from then on, and the old one still opens.

    A running process finds a key that another has added; forgotten ones open nothing.
    """
    seal.make_keys(tmp_path)
    running = seal.Seal(tmp_path)
    old = running.seal("110101200501010019")
    assert seal.rotate(tmp_path) == 2
    fresh = seal.Seal(tmp_path)
    new_value = fresh.seal("19900000000")
    assert (old[0], new_value[0]) == (1, 2)
    assert (fresh.open(old), running.open(new_value)) == ("110101200501010019", "19900000000")
    assert fresh.index("x") == running.index("x")
    with pytest.raises(ValueError):
        seal.forget(tmp_path, {2})
    seal.forget(tmp_path, {1})
    with pytest.raises(KeyError):
        seal.Seal(tmp_path).open(old)


def test_reseal(tx, tmp_path, monkeypatch):
    """Everything sealed by an old key is sealed anew, in pieces, and reads as before."""
    from services.members.sealing import handlers as sealing

    seal.make_keys(tmp_path)
    data = (tmp_path / "id_keys.json").read_text()
    assert data
    edit(tx, ONE, emergency_contact="母亲")
    before = showing.shown(store.by_ids(tx, [ONE])[ONE], True)
    folder = secret_keys.seal._folder
    number_ = seal.rotate(folder)
    monkeypatch.setattr(secret_keys, "seal", seal.Seal(folder))
    assert sealing.some(tx, secret_keys.seal, 0) == (3, THREE)
    assert sealing.some(tx, secret_keys.seal, THREE) == (0, THREE)
    sealing.others(tx, secret_keys.seal)
    row = store.by_ids(tx, [ONE])[ONE]
    assert {bytes(row.id_sealed)[0], bytes(row.phone_sealed)[0], bytes(row.emergency_sealed)[0]} == {number_}
    assert showing.shown(row, True) == before


@pytest.mark.rule("DL-18", "TYPE-16", "TYPE-27", "BEY-12", "ORG-29", "MEM-24")
def test_stay_clocks(tx, configure, monkeypatch):
    """DL-18, TYPE-16, TYPE-27, ORG-29, BEY-12: the clocks of township and county; nobody is moved.

    The county's runs where a setting limits the stay.

    MEM-24: who was entered more than a month after joining is listed.
    """
    configure(TUANQIAO_POLICY="p002")
    today = clock.today()
    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=BRANCH,
                parent_id=TARGET,
                path="1.4.5.",
                kind="branch",
                purpose="handover",
                province="42",
                system="national",
                provincial_id=ROOT,
                vault_id=None,
                name="5",
                version=2,
                deleted=False,
            ),
            OrgChanged(
                org_id=88,
                parent_id=ROOT,
                path="1.88.",
                kind="branch",
                purpose="handover",
                province="42",
                system="national",
                provincial_id=ROOT,
                vault_id=None,
                name="88",
                version=1,
                deleted=False,
            ),
        ],
    )

    def stay(member, branch, days):
        tx.execute(
            sa.text("UPDATE people SET branch_id = :branch WHERE person_id = :one"),
            {"branch": branch, "one": member},
        )
        tx.execute(
            sa.text("UPDATE memberships SET branch_id = :branch, began_at = :at WHERE person_id = :one"),
            {"branch": branch, "one": member, "at": clock.now() - timedelta(days=days)},
        )

    stay(ONE, BRANCH, 40)
    stay(TWO, 88, 340)
    assert [(line.member_id, line.note) for line in report(tx, "parked")] == [
        (ONE, (today - timedelta(days=40)).isoformat())
    ]
    assert [line.member_id for line in report(tx, "county_stay")] == [TWO] and report(tx, "onward") == []
    assert lists_store.overstayed(tx, today) == {"onward": 0, "county": 0, "retained": 0}
    stay(ONE, BRANCH, 20)
    stay(TWO, 88, 370)
    assert report(tx, "parked") == [] and lists_store.overstayed(tx, today)["county"] == 1
    for months, listed in ((0, []), (24, []), (13, [TWO])):
        monkeypatch.setattr(Practice, "value", lambda self, name, day, *place, months=months: months)
        assert [line.member_id for line in report(tx, "county_stay")] == listed and lists_store.overstayed(
            tx, today
        )["county"] == 0
    monkeypatch.undo()
    tx.execute(
        sa.text("UPDATE people SET joined_on = :on, created_at = :at WHERE person_id = :one"),
        {"on": today - timedelta(days=90), "at": clock.now(), "one": THREE},
    )
    assert [line.member_id for line in report(tx, "late_entries")] == [THREE]
    lists.on_day_began(tx, [])


@pytest.mark.rule("ORG-29", "BEY-12")
@pytest.mark.parametrize("began_at", ["2025-10-15T04:00:00Z", "2025-10-14T16:30:00Z", "2025-10-15T15:30:00Z"])
def test_eleven_months_in_a_county_s_branch(tx, configure, began_at):
    """ORG-29, BEY-12: with a year as the longest stay the list begins when eleven months are over.

    Not a day before. The day of arrival is the day in China, at whatever hour.
    """
    configure(TUANQIAO_POLICY="p002")
    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=88,
                parent_id=ROOT,
                path="1.88.",
                kind="branch",
                purpose="handover",
                province="42",
                system="national",
                provincial_id=ROOT,
                vault_id=None,
                name="88",
                version=1,
                deleted=False,
            )
        ],
    )
    tx.execute(sa.text("UPDATE people SET branch_id = 88 WHERE person_id = :one"), {"one": ONE})
    tx.execute(
        sa.text("UPDATE memberships SET branch_id = 88, began_at = :began_at WHERE person_id = :one"),
        {"one": ONE, "began_at": began_at},
    )

    def on(day):
        return [row.member_id for row in lists_store.report(tx, "county_stay", "1.", "", 0, 10, day)]

    assert (on(date(2026, 9, 14)), on(date(2026, 9, 15))) == ([], [ONE])
    assert [
        lists_store.overstayed(tx, day)["county"] for day in (date(2026, 10, 14), date(2026, 10, 15))
    ] == [0, 1]


@pytest.mark.rule("TYPE-16", "DL-18", "BEY-12")
def test_the_month_runs_from_what_was_found(tx):
    """TYPE-16, DL-18, BEY-12: the month for the transfer onward begins when work or study was found.

    Not with the arrival.

    The member or the branch says so; it can be taken back, and ends with the transfer.
    """
    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=BRANCH,
                parent_id=TARGET,
                path="1.4.5.",
                kind="branch",
                purpose="handover",
                province="42",
                system="national",
                provincial_id=ROOT,
                vault_id=None,
                name="5",
                version=2,
                deleted=False,
            )
        ],
    )
    tx.execute(
        sa.text("UPDATE people SET branch_id = :branch WHERE person_id = :one"),
        {"branch": BRANCH, "one": ONE},
    )
    tx.execute(
        sa.text("UPDATE memberships SET branch_id = :branch, began_at = '2025-01-01' WHERE person_id = :one"),
        {"branch": BRANCH, "one": ONE},
    )

    def onward():
        return [(line.member_id, line.note) for line in report(tx, "onward", admin(TARGET))]

    assert onward() == [] and lists_store.overstayed(tx, clock.today())["onward"] == 0

    found = date(2026, 8, 31)
    assert (
        edit(tx, actor=Actor(ONE), found=True, found_on=clock.today() + timedelta(days=1))
        == "found_in_future"
    )
    assert edit(tx, actor=Actor(ONE), found=True, found_on=found) is None
    assert onward() == [(ONE, "2026-09-30")] and report(tx, "parked", admin(TARGET)) == []
    assert [lists_store.overstayed(tx, day)["onward"] for day in (date(2026, 9, 30), date(2026, 10, 1))] == [
        0,
        1,
    ]
    assert edit(tx, actor=admin(BRANCH), found=False) is None and onward() == []
    assert edit(tx, actor=admin(TARGET), found=True) is None
    assert showing.who_am_i(tx, WhoAmI(), Actor(ONE)).member.found_on == clock.today()
    handlers.on_transfer_requested(tx, [request(10, source=BRANCH, target=SCHOOL)])
    handlers.on_branch_assigned(tx, [assigned(10, branch=CLASS)])
    assert store.by_ids(tx, [ONE])[ONE].found_on is None

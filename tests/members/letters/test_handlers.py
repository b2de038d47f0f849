"""Who stays at school, letters, ranges of development numbers, own-level imports: on a real database."""

import json
import uuid
from datetime import date, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from services.members import domain, ranges, store
from services.members.entering import imports
from services.members.letters import handlers as letters_handlers
from services.members.retentions import handlers as retentions
from services.members.retentions import rules as retentions_rules
from services.members.sealing.keys import code_index
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import (
    DecideRetention,
    GetReport,
    ImportRow,
    IssueLetter,
    ListLetters,
    ListRetentions,
    PrintLetter,
    VoidLetter,
)
from shared.messages.orgs import AdministratorChanged
from tests.members.factories import (
    CLASS,
    COLLEGE,
    DEEP,
    ONE,
    ROOT,
    SCHOOL,
    TARGET,
    THREE,
    TWO,
    admin,
    number,
)
from tests.members.joining.factories import posts
from tests.members.letters.factories import ask, check, decide, issue


@pytest.fixture
def graduates(tx):
    tx.execute(
        sa.text("UPDATE people SET graduate = true, graduates_on = :on WHERE branch_id = :branch"),
        {"on": clock.today() - timedelta(days=30), "branch": CLASS},
    )
    return clock.today() - timedelta(days=30)


def code(answer):
    return answer.refusal and answer.refusal.code


# ---- who stays -----------------------------------------------------------------------------------


@pytest.mark.rule("GRAD-29", "GRAD-33", "DOC-09", "GRAD-30", "GRAD-31")
def test_study_abroad(tx):
    """GRAD-29..31: a member asks to stay, with place, time and contact at home, and the committee decides.

    Then come its register, the reports, and the end after return.

    DOC-09: the four contents stand in the register.
    """
    command = uuid.uuid4()
    asked = ask(tx, command_id=command)
    assert asked.state == "requested" and ask(tx, command_id=command) == asked
    assert code(ask(tx)) == "retention_open"
    assert decide(tx, asked.retention_id, approve=True).state == "approved"
    assert decide(tx, asked.retention_id, Actor(ONE), report="在读,一切正常").state == "approved"
    (entry,) = retentions.list_retentions(tx, ListRetentions(kind="abroad"), admin(SCHOOL))
    assert (
        entry.member_id,
        entry.place,
        entry.contact_name,
        entry.contact_phone,
        entry.reports,
        entry.state,
    ) == (ONE, "莱顿", "王母", "19900000098", ["在读,一切正常"], "approved")
    from tests.members.lists.factories import report

    assert [one.member_id for one in report(tx, "abroad", admin(SCHOOL))] == [ONE]
    assert retentions.list_retentions(tx, ListRetentions(), admin(TARGET)) == []
    assert decide(tx, asked.retention_id, end=True, note="已回国").state == "ended"
    assert retentions.list_retentions(tx, ListRetentions(own=True), Actor(ONE))[0].note == "已回国"
    assert ask(tx).state == "requested"


@pytest.mark.rule("GRAD-29")
@pytest.mark.parametrize(
    "values, said",
    [
        ({"place": ""}, "field_missing"),
        ({"contact_name": " "}, "field_missing"),
        ({"contact_phone": ""}, "field_missing"),
        ({"until": date(2026, 8, 1)}, "retention_dates"),
        ({"kind": "holiday"}, "retention_kind"),
        ({"member_id": TWO}, "unknown_member"),
    ],
)
def test_requests_that_are_refused(tx, values, said):
    """GRAD-29: all four items are needed, and only for oneself or by the branch."""
    assert code(ask(tx, **values)) == said


@pytest.mark.rule("GRAD-29", "GRAD-33", "ROLE-16")
def test_who_decides(tx):
    """GRAD-33: a committee kind above the branch decides, not the branch itself, nobody elsewhere; once."""
    asked = ask(tx, admin(CLASS)).retention_id
    for actor in (admin(CLASS), admin(TARGET), Actor(ONE), Actor(ONE, SCHOOL)):
        assert code(decide(tx, asked, actor, approve=True)) == "retention_unknown"
    assert decide(tx, asked).state == "refused"
    assert decide(tx, asked).refusal is None
    assert code(decide(tx, asked, approve=True)) == "retention_closed"


@pytest.mark.rule("GRAD-26", "GRAD-27", "GRAD-28")
def test_retained_graduates(tx, graduates):
    """GRAD-26, GRAD-27: for six months from graduation at most.

    A month before the end they are on the list, and nobody is moved.

    GRAD-28: who is retained has not completed.
    """
    retained = {
        "kind": "retained",
        "since": clock.today(),
        "place": "",
        "contact_name": "",
        "contact_phone": "",
    }
    assert code(ask(tx, until=graduates + timedelta(days=240), **retained)) == "retention_too_long"
    until = domain.add_months(graduates, 6)
    asked = ask(tx, until=until, **retained)
    decide(tx, asked.retention_id, approve=True)
    from services.members.lists import handlers as lists

    def due():
        return [one.note for one in lists.get_report(tx, GetReport(kind="retained"), admin(SCHOOL))]

    assert due() == []
    clock.advance(timedelta(days=140))
    assert due() == [until.isoformat()]
    left = {
        one.member_id: one.note
        for one in lists.get_report(tx, GetReport(kind="graduates_left"), admin(SCHOOL))
    }
    assert left == {ONE: "retained", TWO: "none"}  # GRAD-28: who is retained has not completed
    clock.advance(timedelta(days=60))
    assert due() == [until.isoformat()] and store.by_ids(tx, [ONE])[ONE].branch_id == CLASS
    assert code(ask(tx, Actor(THREE), member_id=THREE, until=until, **retained)) == "not_a_graduate"


@pytest.mark.rule("GRAD-26", "GRAD-27")
@pytest.mark.parametrize(
    "until, begins, mark_from, today, said",
    [
        (date(2026, 12, 31), date(2026, 6, 30), None, date(2026, 7, 1), None),
        (date(2027, 1, 1), date(2026, 6, 30), None, date(2026, 7, 1), "retention_too_long"),
        (date(2026, 12, 31), date(2026, 6, 30), (7, 31), date(2026, 7, 31), "retention_too_early"),
        (date(2026, 12, 31), date(2026, 6, 30), (7, 31), date(2026, 8, 1), None),
    ],
)
def test_months_of_retention(until, begins, mark_from, today, said):
    """GRAD-26, GRAD-27: six months to the end of the month; by setting only after a day of the year."""
    refusal = retentions_rules.check_retention(
        "retained", date(2026, 7, 1), until, True, {}, 6, begins, mark_from, today
    )
    assert (refusal and refusal.code) == said


@pytest.mark.rule("GRAD-26")
@pytest.mark.parametrize(
    "preset, industry, said",
    [
        ("national", "普通高等院校", None),
        ("national", "中等职业学校", None),
        ("national", "普通高中", "retention_not_here"),
        ("p001", "中等职业学校", "retention_not_here"),
        ("p004", "普通高中", None),
    ],
)
def test_whose_graduates_are_retained(tx, graduates, configure, preset, industry, said):
    """GRAD-26: which schools retain their graduates is a setting; members abroad are another matter."""
    configure(TUANQIAO_POLICY=preset)
    tx.execute(
        sa.text("UPDATE org_directory SET industry = :industry WHERE org_id = :branch"),
        {"industry": industry, "branch": CLASS},
    )
    assert (
        code(ask(tx, kind="retained", since=clock.today(), until=clock.today() + timedelta(days=60))) == said
    )
    assert code(ask(tx, Actor(TWO), member_id=TWO)) is None


@pytest.mark.rule("GRAD-26")
def test_retained_members_are_grouped(tx, graduates):
    """GRAD-26: retained members outside the school's mobile branch are listed.

    The committee moves them there.
    """
    from tests.members.lists.factories import report

    asked = ask(tx, kind="retained", since=clock.today(), until=clock.today() + timedelta(days=60))
    decide(tx, asked.retention_id, approve=True)
    assert [line.member_id for line in report(tx, "retained_apart", admin(SCHOOL))] == [ONE]
    tx.execute(
        sa.text("UPDATE org_directory SET purpose = 'floating' WHERE org_id = :branch"), {"branch": CLASS}
    )
    assert report(tx, "retained_apart", admin(SCHOOL)) == []


@pytest.mark.rule("DOC-01", "DOC-02", "DOC-03", "DOC-04", "BEY-13")
def test_letters(tx):
    """DOC-01, DOC-04, BEY-13: numbers run per issuer and year.

    Anyone checks a letter by its code and learns nothing of persons.
    """
    first, second = issue(tx), issue(tx, member_ids=[ONE, TWO], valid_days=30)
    year = clock.today().year
    assert (first.number, second.number, issue(tx, admin(ROOT)).number) == (
        f"{year}-1",
        f"{year}-2",
        f"{year}-1",
    )
    assert (first.valid_until, second.valid_until) == (None, clock.today() + timedelta(days=30))
    checked = check(tx, second.code.lower())
    assert (checked.state, checked.issuer, checked.number) == ("in_force", str(SCHOOL), second.number)
    assert set(checked.__struct_fields__) == {"state", "issuer", "number", "issued_on"}
    clock.advance(timedelta(days=31))
    assert (check(tx, second.code).state, check(tx, first.code).state) == ("lapsed", "in_force")
    letters_handlers.void_letters(tx, [Asked(VoidLetter(letter_id=first.letter_id), admin(SCHOOL))])
    assert check(tx, first.code).state == "void"
    with pytest.raises(Refused, match="letter_unknown"):
        check(tx, "AAAA-BBBB")


def listed(tx, actor=None, **values):
    """Return the numbers of the letters that an organisation sees, by default the school."""
    return [
        one.number for one in letters_handlers.list_letters(tx, ListLetters(**values), actor or admin(SCHOOL))
    ]


@pytest.mark.rule("DOC-14")
def test_letters_are_found_again_printed_and_voided(tx):
    """DOC-14: an issuer lists its letters by state, number, addressee and name, page by page, both ways.

    One is printed with the code of the first paper; one that is void is not, and its reason stands
    in the list. Nobody else sees or prints it.
    """
    year = clock.today().year
    first, second = (
        issue(tx, to_org="某街道"),
        issue(tx, member_ids=[TWO], addressee="西湖团区委", valid_days=30),
    )
    third = issue(tx)
    numbers = [one.number for one in (first, second, third)]
    assert listed(tx) == numbers[::-1] and listed(tx, oldest_first=True) == numbers
    assert listed(tx, limit=2, after=third.letter_id) == [numbers[1], numbers[0]]
    assert listed(tx, limit=1, after=first.letter_id, oldest_first=True) == [numbers[1]]
    assert listed(tx, text="西湖") == listed(tx, text=f"{year}-2") == [numbers[1]]
    assert listed(tx, text=second.names[0]) == [numbers[1]] and listed(tx, text="没有") == []
    assert listed(tx, admin(ROOT)) == []
    with pytest.raises(Refused, match="not_administrator"):
        listed(tx, Actor(ONE))

    def print_again(letter_id, actor=None):
        return letters_handlers.print_letter(tx, PrintLetter(letter_id=letter_id), actor or admin(SCHOOL))

    assert print_again(first.letter_id) == first and first.to_org == "某街道"
    with pytest.raises(Refused, match="letter_unknown"):
        print_again(first.letter_id, admin(ROOT))
    wanted = VoidLetter(letter_id=third.letter_id, reason="抬头写错 ")
    letters_handlers.void_letters(tx, [Asked(wanted, admin(SCHOOL))])
    with pytest.raises(Refused, match="letter_void"):
        print_again(third.letter_id)
    clock.advance(timedelta(days=31))
    for one in letters_handlers.list_letters(tx, ListLetters(), admin(SCHOOL)):
        assert one.number in listed(tx, state=one.state)
        assert one.reason == ("抬头写错" if one.state == "void" else "")
    assert [listed(tx, state=one) for one in ("void", "lapsed", "in_force")] == [[n] for n in numbers[::-1]]


@pytest.mark.rule("DOC-04")
def test_numbers_of_letters_that_were_lost_are_not_given_again(tx):
    """DOC-04: where the database came back without its last letters, numbers go on beyond those on paper."""
    year = clock.today().year
    began = sa.text("INSERT INTO lives (place, lost, began_at) VALUES ('', :lost, :at)")
    for lost, at in ((False, f"{year}-01-01 00:00+08"), (True, f"{year - 1}-12-31 23:00+08")):
        tx.execute(began, {"lost": lost, "at": at})
    assert issue(tx).number == f"{year}-1"
    tx.execute(began, {"lost": True, "at": f"{year}-01-02 00:00:01+08"})

    assert [issue(tx).number, issue(tx).number] == [f"{year}-1442", f"{year}-1443"]
    assert issue(tx, admin(ROOT)).number == f"{year}-1442"


@pytest.mark.rule("DOC-04", "BEY-05")
def test_a_repeated_letter_is_the_same(tx):
    """DOC-04: the command again gives the same letter with the same code.

    So the paper that was printed stays good; no letter's code tells another's.
    """
    command = uuid.uuid4()
    first, again, other = issue(tx, command_id=command), issue(tx, command_id=command), issue(tx)
    assert again == first and other.code != first.code
    assert check(tx, first.code).number == first.number
    assert tx.scalar(sa.text("SELECT count(*) FROM letters")) == 2


@pytest.mark.rule("DOC-04")
def test_a_letter_is_repeated_as_it_was_by_who_wrote_it(tx):
    """DOC-04: a command gives its letter to its sender only, for the same members and addressee.

    The letter stays as it is.
    """
    command = uuid.uuid4()
    first = issue(tx, command_id=command)
    directory.on_administrator_changed(
        tx, [AdministratorChanged(org_id=SCHOOL, person_id=77, active=True, version=1)]
    )
    for actor, values in (
        (admin(ROOT), {}),
        (Actor(77, SCHOOL), {}),
        (admin(SCHOOL), {"member_ids": [TWO]}),
        (admin(SCHOOL), {"addressee": "别处"}),
    ):
        answer = issue(tx, actor, command_id=command, **values)
        assert code(answer) == "command_taken" and (answer.code, answer.number, answer.names) == ("", "", [])
    assert check(tx, first.code).state == "in_force"


def test_a_letter_is_logged_whatever_follows_in_its_list(tx):
    """A letter's line is written even where the same list has the command again with other words."""
    item = IssueLetter(
        command_id=uuid.uuid4(), member_ids=[ONE], addressee="某单位", dues_until=date(2026, 6, 30)
    )
    other = msgspec.structs.replace(item, addressee="别处")
    first, second = letters_handlers.issue_letters(
        tx, [Asked(item, admin(SCHOOL)), Asked(other, admin(SCHOOL))]
    )
    assert (code(first), code(second)) == (None, "command_taken")
    line = tx.scalars(sa.text("SELECT after FROM audit_log WHERE kind = 'letter.issued'")).one()
    assert json.loads(line) == {"addressee": "某单位"}


@pytest.mark.rule("DOC-04")
def test_a_letter_of_before_keeps_its_code(tx):
    """DOC-04: a letter whose code was drawn by lot is not given another by its command."""
    command = uuid.uuid4()
    issue(tx, command_id=command)
    tx.execute(
        sa.text("UPDATE letters SET code_index = :old"), {"old": code_index("letter", "AAAABBBBCCCCDDDD")}
    )
    assert issue(tx, command_id=command).code == ""
    assert check(tx, "AAAA-BBBB-CCCC-DDDD").state == "in_force"


@pytest.mark.rule("DOC-02", "ROLE-16")
@pytest.mark.parametrize(
    "actor, values, said",
    [
        (admin(CLASS), {}, "letter_by_committee"),
        (admin(TARGET), {}, "unknown_member"),
        (Actor(ONE, SCHOOL), {}, "not_administrator"),
        (admin(SCHOOL), {"member_ids": []}, "field_missing"),
        (admin(SCHOOL), {"addressee": " "}, "field_missing"),
        (admin(SCHOOL), {"member_ids": [ONE, 999]}, "unknown_member"),
        (admin(SCHOOL), {"member_ids": list(range(60))}, "too_many_items"),
    ],
)
def test_letters_that_are_refused(tx, actor, values, said):
    """DOC-02: committee kinds and leading bodies introduce their own members."""
    assert code(issue(tx, actor, **values)) == said


@pytest.mark.rule("DOC-04")
def test_nobody_voids_another_s_letter(tx):
    """DOC-04: a letter is voided by its issuer."""
    made = issue(tx)
    assert (
        code(letters_handlers.void_letters(tx, [Asked(VoidLetter(letter_id=made.letter_id), admin(ROOT))])[0])
        == "letter_unknown"
    )
    assert check(tx, made.code).state == "in_force"


# ---- ranges of numbers ---------------------------------------------------------------------------


@pytest.mark.rule("MEM-11")
def test_ranges(tmp_path):
    """MEM-11: where a province was issued ranges for a year, a number lies in one of them.

    The file says which.
    """
    file = tmp_path / "ranges.csv"
    file.write_text(
        "province,year,first,last\n42,2020,202000000001,202000000500\n42,2020,202000009000,202000009999\n"
    )
    issued = ranges.read(file)
    joined = date(2020, 5, 4)
    for given, province, said in (
        ("202000000001", "42", None),
        ("202000009999", "42", None),
        ("202000000501", "42", "number_out_of_range"),
        ("202000000501", "43", None),
    ):
        refusal = domain.check_development_number(given, joined, province, issued)
        assert (refusal and refusal.code) == said
    file.write_text("province,year,first,last\n42,2020,202000000001,201900000500\n")
    with pytest.raises(ValueError, match="line 2"):
        ranges.read(file)


# ---- own-level imports ---------------------------------------------------------------------------


@pytest.mark.rule("IMP-04", "IMP-11", "CADRE-01")
def test_own_level_import(tx):
    """IMP-11: rows without a branch are cadres of the importing organisation.

    They are entered without a branch; each bad row says why.
    """
    import_id = uuid.uuid4()

    def row(n, **values):
        return ImportRow(
            **{
                "import_id": import_id,
                "number": n,
                "branch_name": "",
                "name": "李书记",
                "id_number": number(60 + n, 1990),
                "post": "publicist",
                **values,
            }
        )

    rows = [
        row(1),
        row(2, post="secretary"),
        row(3, post="secretary"),
        row(4, post=""),
        row(5, id_number="1"),
        row(
            6,
            branch_name=str(CLASS),
            id_number=number(66),
            post="",
            joined_on=date(2020, 5, 4),
            development_number="202000000066",
        ),
    ]
    imports.import_rows(tx, [Asked(one, admin(SCHOOL)) for one in rows])
    assert imports.enter_piece(tx) == 6
    from shared.messages.members import GetImport

    progress = imports.get_import(tx, GetImport(import_id=import_id, failed_after=0), admin(SCHOOL))
    assert (progress.entered, {one.number for one in progress.failures}) == (3, {3, 4, 5})
    assert [post for _, post in posts(tx, SCHOOL)] == ["secretary", "publicist"]
    assert all(store.by_ids(tx, [person])[person].branch_id is None for person, _ in posts(tx, SCHOOL))

    # a row of one who holds a post, without a post: it fails, and the post stays
    again = uuid.uuid4()
    imports.import_rows(tx, [Asked(row(2, import_id=again, post=""), admin(SCHOOL))])
    assert imports.enter_piece(tx) == 1
    failed = imports.get_import(tx, GetImport(import_id=again, failed_after=0), admin(SCHOOL)).failures
    assert [one.number for one in failed] == [2]
    assert [post for _, post in posts(tx, SCHOOL)] == ["secretary", "publicist"]


@pytest.mark.rule("IMP-12")
def test_new_students_are_imported_by_the_class(tx):
    """IMP-12: the branch itself imports people nobody has recorded."""
    import_id = uuid.uuid4()
    imports.import_rows(
        tx,
        [
            Asked(
                ImportRow(
                    import_id=import_id,
                    number=1,
                    branch_name=str(CLASS),
                    name="新生",
                    id_number=number(80),
                    joined_on=date(2020, 5, 4),
                    development_number="202000000080",
                ),
                admin(CLASS),
            )
        ],
    )
    assert imports.enter_piece(tx) == 1
    assert len(store.of_branch(tx, CLASS, 0, 10)) == 3


# ---- what moves with the tree --------------------------------------------------------------------


def moved(version, parent, path, org=COLLEGE, kind="general_branch", **values):
    from shared.messages.orgs import OrgChanged

    return OrgChanged(
        **{
            "org_id": org,
            "parent_id": parent,
            "path": path,
            "kind": kind,
            "purpose": "ordinary",
            "province": "42",
            "system": "national",
            "provincial_id": ROOT,
            "vault_id": None,
            "name": str(org),
            "version": version,
            "deleted": False,
            **values,
        }
    )


@pytest.mark.rule("MIG-09", "BEY-17")
def test_the_directory_follows_a_move(tx):
    """MIG-09: one event moves a whole subtree in the directory.

    Older and repeated ones change nothing, and new branches find their place either way.
    """

    def path(org):
        return directory.find(tx, [org])[org].path

    changing = directory.on_org_changed(tx, [moved(2, TARGET, "1.4.6.")])
    assert [(row.org_id, row.moves, row.turns) for row in changing] == [(COLLEGE, True, False)]
    assert (path(COLLEGE), path(DEEP)) == ("1.4.6.", "1.4.6.7.")
    assert not directory.on_org_changed(tx, [moved(2, TARGET, "1.4.6."), moved(1, SCHOOL, "1.2.6.")])
    assert path(DEEP) == "1.4.6.7."
    directory.on_org_changed(
        tx, [moved(1, COLLEGE, "1.2.6.77.", org=77, kind="branch")]
    )  # created before the move, told after it
    assert path(77) == "1.4.6.77."
    directory.on_org_changed(
        tx, [moved(1, COLLEGE, "1.2.6.78.", org=78, kind="branch"), moved(3, SCHOOL, "1.2.6.")]
    )
    assert (path(COLLEGE), path(DEEP), path(77), path(78)) == ("1.2.6.", "1.2.6.7.", "1.2.6.77.", "1.2.6.78.")
    assert directory.is_below(directory.find(tx, [DEEP])[DEEP], directory.find(tx, [SCHOOL])[SCHOOL])


@pytest.mark.rule("DOC-04", "GRAD-30")
def test_lists_of_papers(tx):
    """DOC-04, GRAD-30: a list of letters is numbered in its order.

    The same command twice is one letter; two reports in one list are both kept.
    """
    command = uuid.uuid4()
    items = [
        IssueLetter(command_id=one, member_ids=[ONE], addressee="某委员会", dues_until=date(2026, 6, 30))
        for one in (command, uuid.uuid4(), command)
    ]
    letters = letters_handlers.issue_letters(tx, [Asked(one, admin(SCHOOL)) for one in items])
    year = clock.today().year
    assert [one.number for one in letters] == [f"{year}-1", f"{year}-2", f"{year}-1"] and letters[
        0
    ] == letters[2]
    assert check(tx, letters[1].code).number == f"{year}-2"
    asked = ask(tx).retention_id
    wanted = [
        DecideRetention(retention_id=asked, approve=True),
        DecideRetention(retention_id=asked, report="一"),
        DecideRetention(retention_id=asked, report="二"),
    ]
    assert [
        one.state for one in retentions.decide_retentions(tx, [Asked(one, admin(SCHOOL)) for one in wanted])
    ] == ["approved"] * 3
    assert retentions.list_retentions(tx, ListRetentions(own=True), Actor(ONE))[0].reports == ["一", "二"]


@pytest.mark.rule("GRAD-29", "BEY-05")
def test_a_retention_is_its_askers(tx):
    """GRAD-29, BEY-05: the command of a retention sent by somebody else is refused and tells nothing.

    Sent again by the same person it is answered as before.
    """
    command = uuid.uuid4()
    first, again = ask(tx, command_id=command), ask(tx, command_id=command)
    assert first.retention_id is not None and again == first
    other = ask(tx, actor=admin(TARGET), command_id=command)
    assert (code(other), other.retention_id, other.state) == ("command_taken", None, "")

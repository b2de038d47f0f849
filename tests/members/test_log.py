"""The audit log of members (BEY-10).

Every command and query is in it, or is named here with the reason why not.
"""

import json
import os
import uuid
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from alembic import command

from services.members import handlers, store
from services.members.accounts import handlers as accounts
from services.members.entering import handlers as entering
from services.members.entering import imports
from services.members.founding import handlers as founding
from services.members.letters import handlers as letters
from services.members.lists import handlers as lists
from services.members.log import log
from services.members.records import handlers as records
from services.members.records import showing
from services.members.service import Service
from shared import audit, db, migrate
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.audit import ListAudit
from shared.messages.members import (
    ExportMembers,
    GetImport,
    IssueResetCode,
    LookUp,
    NoteExport,
    PrintLetter,
    RequestDeletion,
    ResetPassword,
    RevealIds,
    SearchMembers,
    VoidLetter,
)
from shared.messages.orgs import OrgChanged
from tests.audit_acts import OWN, SHOWS, names, written
from tests.conftest import server_url
from tests.members.entering.factories import rows, send
from tests.members.factories import (
    CLASS,
    COLLEGE,
    ONE,
    ROOT,
    SCHOOL,
    TARGET,
    TWO,
    XINJIANG,
    admin,
    assigned,
    number,
    person,
    request,
)
from tests.members.graduation import factories as graduation_factories
from tests.members.joining import factories as joining_factories
from tests.members.joining.factories import PASSWORD, apply, issue, new, post, redeem
from tests.members.letters import factories as letters_factories
from tests.members.records import factories as records_factories

pytestmark = pytest.mark.usefixtures("moment")

NOT_LOGGED = {
    "get_captcha": "a picture",
    "sign_in": "has a table of its own, sign_ins, for the person to see",
    "renew": OWN,
    "sign_out": OWN,
    "change_password": OWN,
    "list_sessions": OWN,
    "end_sessions": OWN,
    "who_am_i": OWN,
    "list_registrations": SHOWS,
    "list_cadres": SHOWS,
    "list_members": SHOWS,
    "list_below": SHOWS,
    "describe_people": SHOWS,
    "get_profile": SHOWS,
    "list_branch_marks": SHOWS,
    "where_was": SHOWS,
    "get_report": SHOWS,
    "get_entry_progress": "numbers",
    "count_inside": "numbers",
    "get_registry_keys": "numbers",
    "get_composition": "numbers",
    "list_letters": SHOWS,
    "list_retentions": SHOWS,
    "get_setup": "says whether there is an administrator yet",
    "check_letter": "says nothing about persons",
    "list_audit": SHOWS,
}


def retained(tx):
    return letters_factories.ask(tx).retention_id


def delayed(tx):
    graduation_factories.mark(tx, CLASS, graduation_factories.THIS)
    return graduation_factories.mark_member(tx, ONE, "delayed", graduation_factories.NEXT, "学业原因")


def failed_import(tx):
    import_id = uuid.uuid4()
    send(tx, [*rows(2, import_id, branch="没有的团支部")])
    while imports.enter_piece(tx):
        pass
    return import_id


def reset(tx):
    code = accounts.issue_reset_codes(
        tx, [Asked(IssueResetCode(command_id=uuid.uuid4(), member_id=ONE), admin(SCHOOL))]
    )[0].code
    return accounts.reset_password(
        tx, ResetPassword(id_number=number(1), code=code, new_password=PASSWORD), None
    )


def look_up_nobody(tx):
    with pytest.raises(Refused):
        showing.look_up(tx, LookUp(name="王五", id_number=number(1)), admin(TARGET))


# Command or query: what is done, and of the last line that it writes the kind, the place and the persons.
# A number instead of persons: so many, whose ids are not known beforehand.
ACTS = {
    "admit": (
        lambda tx: entering.admit(tx, [Asked(person(n), admin(SCHOOL)) for n in (50, 51)]),
        "member.entered",
        CLASS,
        2,
    ),
    "mark_branches": (
        lambda tx: graduation_factories.mark(tx, CLASS, date(2030, 6, 1)),
        "branch.marked",
        CLASS,
        0,
    ),
    "mark_members": (delayed, "member.marked", CLASS, [ONE]),
    "issue_reset_codes": (
        lambda tx: accounts.issue_reset_codes(
            tx, [Asked(IssueResetCode(command_id=uuid.uuid4(), member_id=ONE), admin(SCHOOL))]
        ),
        "code.reset",
        CLASS,
        [ONE],
    ),
    "import_rows": (lambda tx: send(tx, rows(3, uuid.uuid4())), "import.started", SCHOOL, []),
    "edit_members": (
        lambda tx: records_factories.edit(tx, admin(CLASS), phone="13800138000", joined_on=date(2020, 5, 5)),
        "member.edited",
        CLASS,
        [ONE],
    ),
    "request_deletions": (
        lambda tx: records.request_deletions(
            tx,
            [
                Asked(
                    RequestDeletion(
                        command_id=uuid.uuid4(), member_id=TWO, cause="wrong_id", explanation="末位应为X"
                    ),
                    admin(CLASS),
                )
            ],
        ),
        "member.reported",
        CLASS,
        [TWO],
    ),
    "delete_members": (lambda tx: records_factories.delete(tx), "member.deleted", CLASS, [ONE]),
    "set_posts": (lambda tx: post(tx, CLASS, "publicist", person_id=ONE), "post.given", CLASS, [ONE]),
    "issue_registration_codes": (lambda tx: issue(tx, COLLEGE), "code.registration", COLLEGE, []),
    "decide_registrations": (
        lambda tx: joining_factories.decide(tx, apply(tx)),
        "registration.accepted",
        CLASS,
        1,
    ),
    "request_retentions": (retained, "retention.requested", CLASS, [ONE]),
    "decide_retentions": (
        lambda tx: letters_factories.decide(tx, retained(tx), approve=True),
        "retention.approved",
        CLASS,
        [ONE],
    ),
    "issue_letters": (lambda tx: letters_factories.issue(tx), "letter.issued", SCHOOL, [ONE]),
    "void_letters": (
        lambda tx: letters.void_letters(
            tx, [Asked(VoidLetter(letter_id=letters_factories.issue(tx).letter_id), admin(SCHOOL))]
        ),
        "letter.voided",
        SCHOOL,
        [ONE],
    ),
    "print_letter": (
        lambda tx: letters.print_letter(
            tx, PrintLetter(letter_id=letters_factories.issue(tx).letter_id), admin(SCHOOL)
        ),
        "letter.printed",
        SCHOOL,
        [ONE],
    ),
    "reset_password": (reset, "code.reset_used", CLASS, [ONE]),
    "register_administrator": (
        lambda tx: redeem(tx, issue(tx, COLLEGE)[0].code),
        "code.redeemed",
        COLLEGE,
        1,
    ),
    "redeem_code": (
        lambda tx: redeem(tx, issue(tx, COLLEGE)[0].code, Actor(ONE), post="publicist"),
        "code.redeemed",
        COLLEGE,
        [ONE],
    ),
    "set_up": (
        lambda tx: founding.make(
            tx, "李首任", number(90, 1990), "19900000090", COLLEGE, force=True, ref="first installation"
        ),
        "post.given",
        COLLEGE,
        1,
    ),
    "register": (apply, "registration.asked", CLASS, 1),
    "look_up": (
        lambda tx: showing.look_up(
            tx, LookUp(name=store.by_ids(tx, [ONE])[ONE].name, id_number=number(1)), admin(TARGET)
        ),
        "view.looked_up",
        CLASS,
        [ONE],
    ),
    "get_import": (
        lambda tx: imports.get_import(
            tx, GetImport(import_id=failed_import(tx), failed_after=0), admin(SCHOOL)
        ),
        "view.failures",
        SCHOOL,
        [],
    ),
    "search_members": (
        lambda tx: lists.search_members(tx, SearchMembers(text=number(1)), admin(SCHOOL)),
        "view.searched",
        SCHOOL,
        [ONE],
    ),
    "reveal_ids": (
        lambda tx: lists.reveal_ids(tx, RevealIds(person_ids=[ONE], reason="核对"), admin(SCHOOL)),
        "view.unmasked",
        SCHOOL,
        [ONE],
    ),
    "export_members": (
        lambda tx: lists.export_members(tx, ExportMembers(full=True, reason="上报"), admin(CLASS)),
        "export.full",
        CLASS,
        [ONE, TWO],
    ),
    "note_export": (
        lambda tx: lists.note_export(tx, NoteExport(what="/work"), admin(CLASS)),
        "export.file",
        CLASS,
        [],
    ),
}


@pytest.mark.rule("BEY-10")
def test_nothing_is_forgotten():
    """BEY-10: each command and query of members is tried below, or is left out for a reason given."""
    assert names(Service) == {*ACTS, *NOT_LOGGED}
    assert not {*ACTS} & {*NOT_LOGGED} and all(NOT_LOGGED.values())
    assert {one.name for one in Service.commands} <= {*ACTS}


@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize("name", ACTS)
def test_each_is_in_the_log(tx, name):
    """BEY-10: what is done is a line of the log, in the same transaction.

    It says who, where and whom; no ID number and no telephone number is in it.
    """
    act, kind, place, persons = ACTS[name]
    lines = written(tx, lambda: act(tx))
    line = next(one for one in reversed(lines) if one.kind == kind)
    assert line.place_id == place and (
        len(line.persons) == persons if isinstance(persons, int) else line.persons == persons
    )
    assert (line.person_id is not None or line.ref == "first installation") and line.provincial_id == ROOT
    text = str(lines)
    assert (
        number(1) not in text and "13800138000" not in text and "1990000" not in text and PASSWORD not in text
    )
    assert audit.verify(tx, [])[1] == []


@pytest.mark.rule("BEY-10")
def test_before_and_after(tx):
    """BEY-10: lines say how it was: posts, marks and what was edited.

    Of telephone numbers only that they were changed.
    """
    post(tx, CLASS, "publicist", person_id=ONE)
    (changed,) = written(tx, lambda: post(tx, CLASS, "secretary", person_id=ONE))
    assert (json.loads(changed.before), json.loads(changed.after)) == (
        {"post": "publicist"},
        {"post": "secretary"},
    )
    (ended,) = written(tx, lambda: post(tx, CLASS, "", person_id=ONE, actor=admin(SCHOOL)))
    assert (ended.kind, ended.person_id, ended.org_id, json.loads(ended.after)) == (
        "post.ended",
        100 + SCHOOL,
        SCHOOL,
        {"post": ""},
    )
    (edited,) = written(
        tx,
        lambda: records_factories.edit(
            tx, admin(CLASS), phone="13800138000", joined_on=date(2020, 5, 5), party=True
        ),
    )
    assert json.loads(edited.before) == {"joined_on": "2020-05-04", "party": False}
    assert json.loads(edited.after) == {"joined_on": "2020-05-05", "party": True, "phone": "changed"}
    assert written(tx, lambda: records_factories.edit(tx, admin(CLASS), joined_on=date(2020, 5, 5))) == []
    assert written(tx, lambda: records_factories.edit(tx, admin(TARGET), joined_on=date(2020, 5, 6))) == []


@pytest.mark.rule("BEY-10", "ADM-18")
def test_posts_that_end_by_themselves(tx):
    """BEY-10, ADM-18: a post that ends with a move or a deletion is in the log, too.

    Nobody is named, but the cause is.
    """
    post(tx, CLASS, "publicist", person_id=ONE)
    handlers.on_transfer_requested(tx, [request(10)])
    (line,) = written(tx, lambda: handlers.on_branch_assigned(tx, [assigned(10)]))
    assert (line.kind, line.person_id, line.persons, line.ref, json.loads(line.before)) == (
        "post.ended",
        None,
        [ONE],
        "moved",
        {"post": "publicist"},
    )
    post(tx, CLASS, "publicist", person_id=TWO)
    lines = written(tx, lambda: records_factories.delete(tx, member=TWO))
    assert {(one.kind, one.ref) for one in lines} == {("post.ended", "deleted"), ("member.deleted", "")}


@pytest.mark.rule("BEY-10")
def test_a_look_up_that_finds_nobody(tx):
    """BEY-10: who tries names and numbers is seen, though there is nobody to name."""
    (line,) = written(tx, lambda: look_up_nobody(tx))
    assert (line.kind, line.person_id, line.org_id, line.persons, json.loads(line.after)) == (
        "view.looked_up",
        100 + TARGET,
        TARGET,
        [],
        {"found": False},
    )


@pytest.mark.rule("BEY-10")
def test_who_reads_it(tx):
    """BEY-10: the centre reads the log, and a provincial body its own part; others are refused."""
    directory_row = {
        "purpose": "ordinary",
        "system": "national",
        "vault_id": None,
        "deleted": False,
        "version": 5,
    }
    handlers.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=XINJIANG,
                parent_id=ROOT,
                path="1.8.",
                kind="leading_body",
                province="65",
                provincial_id=XINJIANG,
                name="8",
                **directory_row,
            )
        ],
    )
    post(tx, CLASS, "publicist", person_id=ONE)
    post(tx, XINJIANG, "secretary", **new())

    def read(org, **wanted):
        return [one.place_id for one in log.answer(tx, ListAudit(kind="post", **wanted), admin(org))]

    assert (
        read(ROOT) == [XINJIANG, CLASS] and read(XINJIANG) == [XINJIANG] and read(ROOT, about=ONE) == [CLASS]
    )
    for org in (SCHOOL, CLASS):
        with pytest.raises(Refused) as caught:
            read(org)
        assert caught.value.code == "audit_by_province"
    with pytest.raises(Refused):
        log.answer(tx, ListAudit(), Actor(ONE, ROOT))


@pytest.mark.rule("BEY-10")
def test_the_access_log_is_taken_over():
    """BEY-10: an installation that has an access log keeps its lines.

    They are a chain of the log that is proved.
    """
    url = server_url(f"tq_takeover_{os.getpid()}")
    db.drop_database(url)
    db.create_database(url)
    try:
        command.upgrade(migrate.config("members", url), "0011_whose_commands")
        engine = db.connect(url)
        with engine.begin() as tx:
            for seq, action in enumerate(("reveal", "export", "export of full numbers", "file"), start=1):
                tx.execute(
                    sa.text(
                        "INSERT INTO access_log"
                        " VALUES (:seq, :at, 7, NULL, :action, ARRAY[1, 2]::bigint[], 'r', '')"
                    ),
                    {"seq": seq, "at": datetime(2026, 1, seq, 1, 2, 3, 4, tzinfo=UTC), "action": action},
                )
        command.upgrade(migrate.config("members", url), "head")
        with engine.begin() as tx:
            assert audit.verify(tx, []) == (4, [])
            assert tx.execute(sa.text("SELECT kind, ref, note FROM audit_log ORDER BY seq")).all() == [
                ("view.unmasked", "", "r"),
                ("export.members", "", "r"),
                ("export.full", "", "r"),
                ("export.file", "r", ""),
            ]
            log.append(tx, [audit.Entry(kind="post.given")])
            assert audit.verify(tx, []) == (5, [])
        engine.dispose()
    finally:
        db.drop_database(url)

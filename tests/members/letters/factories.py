"""Asking for and deciding a retention; issuing and checking a letter."""

import uuid
from datetime import date

from services.members.letters import handlers as letters
from services.members.retentions import handlers as retentions
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages.members import CheckLetter, DecideRetention, IssueLetter, RequestRetention
from tests.members.factories import ONE, SCHOOL, admin

ABROAD = {
    "kind": "abroad",
    "since": date(2026, 9, 1),
    "until": date(2028, 9, 1),
    "place": "莱顿",
    "contact_name": "王母",
    "contact_phone": "19900000098",
}


def ask(tx, actor=None, **values):
    """Ask for a retention, by default abroad and by the member."""
    item = {"command_id": uuid.uuid4(), "member_id": ONE, **ABROAD, **values}
    return retentions.request_retentions(tx, [Asked(RequestRetention(**item), actor or Actor(ONE))])[0]


def decide(tx, retention_id, actor=None, **values):
    """Decide a retention, by default as the school."""
    return retentions.decide_retentions(
        tx, [Asked(DecideRetention(retention_id=retention_id, **values), actor or admin(SCHOOL))]
    )[0]


def issue(tx, actor=None, **values):
    """Issue a letter, by default the school's for one member."""
    item = {
        "command_id": uuid.uuid4(),
        "member_ids": [ONE],
        "addressee": "共青团某某委员会",
        "dues_until": date(2026, 6, 30),
        **values,
    }
    return letters.issue_letters(tx, [Asked(IssueLetter(**item), actor or admin(SCHOOL))])[0]


def check(tx, text):
    """Check a letter's code as anybody may, without an account."""
    return letters.check_letter(tx, CheckLetter(code=text), None)

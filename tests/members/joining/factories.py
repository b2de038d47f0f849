"""Posts, registration codes, and registrations by code or by oneself."""

import uuid
from datetime import date

from services.members.joining import handlers as joining
from services.members.posts import handlers as posts_handlers
from services.members.posts import store as posts_store
from shared.bus.service import Asked
from shared.messages.members import (
    DecideRegistration,
    IssueRegistrationCode,
    Register,
    RegisterAdministrator,
    SetPost,
)
from tests.members.factories import CLASS, SCHOOL, admin, number

PASSWORD = "Long-enough-1"


def post(tx, org, to, actor=None, **values):
    """Give a post; return the code of the refusal, or the person's id."""
    answer = posts_handlers.set_posts(
        tx, [Asked(SetPost(command_id=uuid.uuid4(), org_id=org, post=to, **values), actor or admin(org))]
    )[0]
    return answer.refusal.code if answer.refusal else answer.person_id


def new(n=60, year=1990, name="李书记", **values):
    """Return what names a person who has no account yet."""
    return {"name": name, "id_number": number(n, year), "phone": "19900000060", **values}


def posts(tx, org):
    """Return who holds which post in an organisation."""
    return [(row.person_id, row.post) for row in posts_store.posts_of(tx, [org])]


def issue(tx, *orgs, actor=None):
    """Make a registration code for each organisation."""
    return joining.issue_registration_codes(
        tx,
        [
            Asked(IssueRegistrationCode(command_id=uuid.uuid4(), org_id=org), actor or admin(SCHOOL))
            for org in orgs
        ],
    )


def redeem(tx, code, actor=None, **values):
    """Use a registration code: as a person signed in, or as a new one where no actor is given."""
    if actor is not None:
        return joining.redeem_code(tx, RegisterAdministrator(code=code, **values), actor)
    return joining.register_administrator(
        tx, RegisterAdministrator(code=code, password=PASSWORD, **{**new(), **values}), None
    )


def apply(tx, n=70, org=CLASS, **values):
    """Register oneself with a branch."""
    item = {
        "org_id": org,
        "name": "周自己",
        "id_number": number(n),
        "password": PASSWORD,
        "ethnic_group": "汉族",
        "phone": "19900000070",
        "joined_on": date(2020, 5, 4),
        "development_number": f"2020{n:08d}",
        **values,
    }
    return joining.register(tx, Register(**item), None)


def decide(tx, one, actor=None, **values):
    """Decide a self-registration, by default accept it."""
    return joining.decide_registrations(
        tx,
        [
            Asked(
                DecideRegistration(**{"registration_id": one.registration_id, "accept": True, **values}),
                actor or admin(CLASS),
            )
        ],
    )[0]

"""A tree of two provinces with its administrators, and calls of the commands on it."""

import json
import os
from dataclasses import dataclass
from uuid import uuid4

import sqlalchemy as sa

from services.orgs import handlers
from services.orgs.search import handlers as search
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages.members import CadreChanged
from shared.messages.orgs import (
    CheckOrg,
    DeleteOrg,
    GetOrgs,
    ListAdministrators,
    SaveOrg,
    SearchOrgs,
    SetAdministrator,
)

SERVER = os.environ.get("DATABASE_URL") or "postgresql://postgres@localhost:5432/"


@dataclass
class Seed:
    """What `store.load` reads of an organisation."""

    id: int
    parent_id: int | None
    kind: str
    full_name: str
    province: str
    purpose: str = "ordinary"
    short_name: str = ""
    division_code: str | None = None
    industry: str = ""
    grad_year: int | None = None


TREE = [
    Seed(1, None, "leading_body", "中国共产主义青年团中央委员会", "00"),
    Seed(42, 1, "leading_body", "共青团湖北省委员会", "42"),
    Seed(42999, 42, "branch", "湖北省特殊单位专属库", "42", "vault"),
    Seed(4201, 42, "leading_body", "共青团湖北省武汉市委员会", "42"),
    Seed(420, 42, "committee", "共青团江汉理工大学委员会", "42"),
    Seed(42010, 420, "branch", "共青团江汉理工大学出国（境）学习研究团员团支部", "42", "study_abroad"),
    Seed(42011, 420, "committee", "共青团江汉理工大学机械学院委员会", "42"),
    Seed(42012, 42011, "branch", "共青团江汉理工大学机械学院2022级1班支部委员会", "42"),
    Seed(42013, 42011, "branch", "共青团江汉理工大学机械学院2018级1班支部委员会", "42", "graduate"),
    Seed(52, 1, "leading_body", "共青团贵州省委员会", "52"),
    Seed(44, 1, "leading_body", "共青团广东省委员会", "44"),
    Seed(44999, 44, "branch", "广东省特殊单位专属库", "44", "vault"),
    Seed(440, 44, "committee", "共青团岭南理工大学委员会", "44"),
]

SCHOOL, COLLEGE, CLASS, OTHER_SCHOOL = 420, 42011, 42012, 440

TOWN = 4201

INDUSTRY = "普通高等院校"

PRESIDENT, DEAN, MONITOR, STRANGER = 1001, 1002, 1003, 1004

SECRETARY = 77  # holds a post and no right

RIGHTS = [
    (SCHOOL, PRESIDENT),
    (COLLEGE, DEAN),
    (CLASS, MONITOR),
    (OTHER_SCHOOL, STRANGER),
    (42, 2001),
    (1, 1),
]

of_school, of_college, of_class = Actor(PRESIDENT, SCHOOL), Actor(DEAN, COLLEGE), Actor(MONITOR, CLASS)

of_city = Actor(3001, TOWN)  # has the right only where the fixture `mayor` or the test gives it


def events(tx, topic):
    """Return the items told so far, in order."""
    bodies = tx.scalars(sa.text("SELECT body FROM outbox WHERE topic = :topic ORDER BY id"), {"topic": topic})
    return [item for body in bodies for item in json.loads(body)]


def save(tx, actor, **fields):
    """Run one SaveOrg."""
    return handlers.save_orgs(tx, [Asked(SaveOrg(**{"command_id": uuid4(), **fields}), actor)])[0]


def delete(tx, actor, org_id):
    """Run one DeleteOrg."""
    return handlers.delete_orgs(tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=org_id), actor)])[0]


def setting(org_id, person_id, active=True, command_id=None):
    """Return a SetAdministrator."""
    return SetAdministrator(
        command_id=command_id or uuid4(), org_id=org_id, person_id=person_id, active=active
    )


def grant(tx, actor, org_id, person_id, active=True):
    """Run one SetAdministrator."""
    return handlers.set_administrators(tx, [Asked(setting(org_id, person_id, active), actor)])[0]


def code(answer):
    """Return the refusal code or None."""
    return answer.refusal and answer.refusal.code


def found(tx, text, **fields):
    """Return the ids that a search finds, best first."""
    return [org.org_id for org in search.search_orgs(tx, SearchOrgs(text=text, **fields), None)]


def holders(tx, org_id):
    """Return who administers an organisation."""
    return [
        one.person_id for one in handlers.list_administrators(tx, ListAdministrators(org_ids=[org_id]), None)
    ]


def check(tx, actor=of_college, **values):
    """Run one CheckOrg of the college, complete unless said otherwise."""
    item = {
        "command_id": uuid4(),
        "org_id": COLLEGE,
        "kind": "committee",
        "short_name": "机械学院团委",
        "full_name": "共青团江汉理工大学机械学院委员会",
        "industry": INDUSTRY,
        "phone": "02788880000",
        **values,
    }
    return handlers.check_orgs(tx, [Asked(CheckOrg(**item), actor)])[0]


def cadre(tx, org=COLLEGE, person=SECRETARY, post="secretary", phone=True, version=2):
    """Tell orgs that a person holds a post, by default that the college has its secretary."""
    handlers.on_cadre_changed(
        tx, [CadreChanged(org_id=org, person_id=person, post=post, has_phone=phone, version=version)]
    )


def org_of(tx, org_id=COLLEGE):
    """Return an organisation as shown."""
    return handlers.get_orgs(tx, GetOrgs(org_ids=[org_id]), None)[0]


def make(tx, actor=of_school, **values):
    """Run one SaveOrg that creates a branch of the school, unless said otherwise."""
    item = {
        "command_id": uuid4(),
        "parent_id": SCHOOL,
        "kind": "branch",
        "full_name": "共青团某某支部委员会",
        **values,
    }
    return handlers.save_orgs(tx, [Asked(SaveOrg(**item), actor)])[0]


def row(org_id=42011, parent_id=420, path="1.42.420.42011.", **values):
    """Return an organisation as the rules read it: a committee in Hubei, unless said otherwise."""
    return {
        "org_id": org_id,
        "parent_id": parent_id,
        "path": path,
        "kind": "committee",
        "purpose": "ordinary",
        "province": "42",
        "system": "national",
        "provincial_id": 42,
        "vault_id": 42999,
        "short_name": "学院团委",
        "full_name": "共青团某学院委员会",
        "also": "",
        "bigrams": [],
        "spoken": [],
        "industry": "",
        "phone": "",
        "division_code": None,
        "grad_year": None,
        "display_order": org_id,
        "version": 1,
        "deleted": False,
        "school_number": "",
        "checked_at": None,
        "was_kind": None,
        "children": 0,
        "secretary_id": SECRETARY,
        **values,
    }

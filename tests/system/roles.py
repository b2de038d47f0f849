"""Who looks at which pages: the one list of every page of every role, for tests, pictures and figures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import sqlalchemy as sa

from services.gateway.kit import capabilities
from shared.reference import is_school
from system import world
from tests.system.fullhouse import CLASS, COLLEGE, FIRST, PEOPLE, PROVINCE, ROLES, csrf_of

SEVERAL = FIRST + PEOPLE - 2
"""The graduate with a transfer in each state."""
PUBLIC = (
    "/sign-in",
    "/forgot",
    "/register",
    "/register/member",
    "/register/administrator",
    "/verify",
    "/contacts",
    "/help",
    "/gallery",
)
BEIJING = (
    "/start?plan=study&step=plan&step=fields&reason=further_study&q=清华大学"
    "&target=1000035&place_name=清华大学&place_address=北京市海淀区双清路30号"
)
"""The second step of a request to go to a province with a system of its own."""


class Role(NamedTuple):
    """Somebody who looks at pages: a name, the ID number to sign in with (none: nobody), the pages."""

    name: str
    number: str | None
    pages: list[str]


def of(town: Any, house: SimpleNamespace, last: int | None = None) -> list[Role]:
    """Return who looks at the pages of a filled world; `last`: a transfer of the graduate of all states."""
    member = ["/", "/mine", f"/transfers/{house.waiting_out}", "/messages", "/me", "/me/edit", "/security"]
    member += ["/my-branch", "/password", "/register/mine"]
    rejected = ["/", "/mine", f"/transfers/{house.rejected}", f"/start?again={house.rejected}"]
    several = ["/", "/mine", *([f"/transfers/{last}"] if last else [])]
    return [
        Role("public", None, list(PUBLIC)),
        Role("graduate", world.id_number_of(town, FIRST), member),
        Role("returned", world.id_number_of(town, FIRST + 1), rejected),
        Role("several", world.id_number_of(town, SEVERAL), several),
        Role(
            "starting", world.id_number_of(town, SEVERAL + 1), ["/", "/start", "/start?plan=study", BEIJING]
        ),
        *[
            Role(
                name,
                world.id_number_of(town, world.administrator_of(org)),
                [*menu(town, org), "/switch", *_more(name, house)],
            )
            for name, org in ROLES.items()
        ],
    ]


def menu(town: Any, org: int) -> list[str]:
    """Return the pages of an organisation's menu."""
    with town.engine("orgs").connect() as tx:
        row = tx.execute(sa.text("SELECT kind, industry FROM orgs WHERE org_id = :org"), {"org": org}).one()
    sections = capabilities.of(row.kind, is_school(row.industry), org < 100)
    return [entry.path for section in sections for entry in section.entries]


def _more(name: str, house: SimpleNamespace) -> list[str]:
    """Return the pages that an office comes to from those of its menu."""
    more = {
        "national": ["/board?org=42", "/figures/idle"],
        "province": [f"/orgs/{PROVINCE}"],
        "township": [f"/transfers/{house.pending_in[0]}", f"/transfers/{house.other_rejected}"],
        "college": ["/orgs/new", "/work/assign", "/help/school"],
        "class": [f"/members/{FIRST}", f"/members/{FIRST}/edit", "/reports/small_branches"],
        "branch": ["/members/new"],
    }
    return more.get(name, [])


def details(house: SimpleNamespace) -> list[str]:
    """Return the addresses of all menus, and of pages that stand behind them, with queries, too."""
    paths = [entry.path for section in capabilities.MENU for entry in section.entries]
    paths += [
        "/security",
        "/verify",
        "/contacts?text=江夏",
        "/sign-in",
        "/forgot",
        "/password",
        "/my-branch",
        "/start",
        "/start?plan=study&step=fields",
        "/api/docs",
        "/start?plan=none&step=check&reason=unemployed&target=420115402&place_address=x",
        f"/members?branch={CLASS}",
        f"/members/{FIRST}",
        f"/out?branch={CLASS}&all=1",
        f"/batch?source={CLASS}",
        "/letters/new",
        "/registers/new",
        "/work?state=pending_in",
        "/work?state=pending_out",
        "/work?state=pending_assign",
        "/work?state=pending_in&due=late&check=none&sort=due&name=王",
        "/work/assign?rule=round_robin",
        "/list?side=target",
        "/escalations?all=1",
        "/posts?org=10000020101",
        f"/orgs?at={COLLEGE}",
        f"/orgs?at={COLLEGE}&text=软件",
        "/orgs/new",
        f"/orgs/{CLASS}",
        f"/orgs/{CLASS}/delete",
        "/figures/idle",
        "/figures/open",
        "/reports/to_contact",
        "/reports/graduates_left",
        "/policy?compare=p002",
        "/desk?kind=reject",
    ]
    paths += [
        f"/transfers/{one}"
        for one in (house.waiting_out, house.rejected, house.assigning, house.pending_in[0])
    ]
    paths += [
        "/register",
        "/register/administrator",
        "/register/member",
        "/register/mine",
        "/me",
        "/me/edit",
        f"/members/{FIRST}/edit",
        f"/members/{FIRST}/report",
        f"/members/{FIRST}/number",
        f"/members/new?branch={CLASS}",
    ]
    return paths


def enter(browser: Any, role: Role) -> str:
    """Sign a role in; return the token of its forms."""
    if role.number is None:
        return csrf_of(browser.get("/sign-in").text)
    page = browser.get("/sign-in").text
    form = {"csrf": csrf_of(page), "id_number": role.number, "password": world.PASSWORD}
    assert browser.post("/sign-in", data=form).status_code == 302
    return csrf_of(browser.get("/me").text)

"""What all pages are made with: calls, names, words, forms and rendering.

Pages work without JavaScript and call what the API calls.
"""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from babel.dates import format_timedelta
from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    g,
    get_template_attribute,
    redirect,
    render_template,
    request,
    session,
)
from jinja2_fragments.flask import render_block
from werkzeug.wrappers import Response as WerkzeugResponse

from services.gateway import session as browser_session
from services.gateway.kit import capabilities, fields, genuine, naming
from services.gateway.kit.language import LOCALES, language
from services.gateway.kit.language import gettext as _
from services.gateway.kit.table import Column
from shared import clock, errors
from shared.errors import Refusal, Refused
from shared.messages import members, orgs, words
from shared.messages.words import BridgeReason, Code, Rejection, System

blueprint = Blueprint("pages", __name__)
# Macros see what all templates have, but not what a page is rendered with.
blueprint.record_once(
    lambda setup: setup.app.jinja_env.globals.update(
        words=words, word=word, when=when, due=due, csrf_token=genuine.token, left_out=fields.left_out
    )
)


@blueprint.app_template_global()
def why(code: str) -> str:
    """Return what the code of an ended transfer means: a rejection, a refusal, or another system's reason.

    Its own words ask whoever rejects to say why; whoever reads is not asked.
    """
    rejection = Rejection.known(code)
    if rejection is Rejection.OTHER:
        return _("其他原因")
    if rejection is not None:
        return word(rejection)
    there = BridgeReason.known(code)
    if there is not None and code not in errors.KINDS:
        return word(there)
    return Refusal(code).say(language()) if code in errors.KINDS and "{" not in errors.KINDS[code].zh else ""


@blueprint.app_template_global()
def heads(*said: str) -> list[Column]:
    """Return the columns of a list that is never sorted; an empty head is that of the buttons."""
    return [Column(head, unseen="" if head else _("操作")) for head in said]


@blueprint.app_template_global()
def called_here(name: str) -> str:
    """Return what an organisation is called on a page of the acting one."""
    return naming.within(name, session.get("org_name") or "")


@blueprint.app_template_global()
def name_here(org: Any) -> str:
    """Return the short name of an organisation, of one of another system the whole one.

    What that is called for short over there says nothing here (FED-08).
    """
    here = org.system == System.NATIONAL and org.short_name
    return str(org.short_name if here else org.full_name)


@blueprint.app_template_global()
def policy_name(key: str) -> str:
    """Return what a policy's key, `national@2026`, is called."""
    name, _at, version = key.partition("@")
    return ((_("全国政策") if name == "national" else name) + f" {version}").rstrip()


def word(said: Code | str | None) -> str:
    """Return the words of a code, or of a text of a table, by language."""
    if isinstance(said, Code):
        return _(said.zh)
    return _(said) if said else ""


def when(value: datetime | None) -> str:
    """Return an instant in China's time, to the minute."""
    return value.astimezone(clock.CHINA).strftime("%Y-%m-%d %H:%M") if value else ""


@blueprint.app_template_global()
def day(value: datetime | None) -> str:
    """Return the day of an instant in China, for histories and terms."""
    return when(value)[:10]


@blueprint.app_template_global()
def exactly(value: datetime | None) -> str:
    """Return an instant in China's time, to the second, where the rules ask for it (TRF-22)."""
    return value.astimezone(clock.CHINA).strftime("%Y-%m-%d %H:%M:%S") if value else ""


@blueprint.app_template_global()
def since(value: datetime) -> str:
    """Return how long ago an instant was, or when it will be, as people say it; no seconds.

    Days are counted up to two months: "1 week" would be anything from five days to ten. What is left is
    counted as `due` does, in days and hours that are whole: a deadline is as far in both.
    """
    away = value - clock.now()
    for whole in (timedelta(days=1), timedelta(hours=1)):
        if away >= whole:
            away -= away % whole
            break
    if abs(away) < timedelta(minutes=1):
        return _("刚刚")
    locale = LOCALES[language()]
    if timedelta(days=1) <= abs(away) < timedelta(days=60):
        in_days = format_timedelta(
            away, granularity="day", threshold=sys.maxsize, add_direction=True, locale=locale
        )
        return str(in_days)
    return str(format_timedelta(away, granularity="minute", add_direction=True, locale=locale))


@blueprint.app_template_global()
def exact_times() -> bool:
    """Return whether the person wants instants as they are, not relative to now."""
    return session.get("times") == "exact"


@blueprint.app_template_global()
def member_pages() -> list[tuple[str, str]]:
    """Return the pages of a member's own shell: address and name."""
    return [("/", _("首页")), ("/mine", _("我的转接")), ("/messages", _("消息")), ("/me", _("我的"))]


def due(value: datetime | None) -> tuple[str, str]:
    """Return how long is left until a deadline, in words, and how urgent it is: late, soon or nothing."""
    if value is None:
        return _("不限时"), ""
    days = (value - clock.now()) / timedelta(days=1)
    if days < 0:
        # The day that has begun counts: nobody is "0 days late".
        return _("已超期%(n)s天", n=int(-days) + 1), "late"
    if days < 1:
        return _("剩%(n)s小时", n=int(days * 24)), "soon"
    return _("剩%(n)s天", n=int(days)), "soon" if days < 3 else ""


def render(template: str, status: int = 200, block: str = "", **values: Any) -> Response:
    """Render a page with what every page needs, or only a block of it, for htmx to put into the page.

    A block sees what the page was rendered with, but not what its template imports outside of it.
    """
    values |= {
        "now": clock.now(),
        "menu": _menu(),
        "section": _section(),
        "entry": capabilities.entry(request.path),
        "moment": uuid.uuid4,
        "me": session.get("name"),
        "acting": session.get("org_name"),
        "acting_id": session.get("org"),
        "request_id": g.request_id,
        "path": request.full_path,
    }
    return Response(
        render_block(template, block, **values) if block else render_template(template, **values), status
    )


def part(template: str, macro: str, *values: Any) -> Response:
    """Render a macro alone, for htmx to put into a page that has it as a part."""
    return Response(get_template_attribute(template, macro)(*values))


def _section() -> capabilities.Section | None:
    """Return the section of this page, with the entries that the acting organisation has."""
    here = capabilities.section(request.path)
    for one in _menu():
        if here is not None and one.zh == here.zh:
            return one
    return None


def _menu() -> tuple[capabilities.Section, ...]:
    """Return the menu of the acting organisation."""
    return capabilities.of(*_acting())


def _acting() -> tuple[str, bool, bool]:
    """Return what the table of capabilities asks of the acting organisation."""
    return session.get("org_kind", ""), session.get("org_school", False), session.get("org_top", False)


@blueprint.app_template_global()
def can(path: str) -> bool:
    """Return whether the acting organisation has a use for a page."""
    return capabilities.can(path, *_acting())


@blueprint.app_template_global()
def landing() -> str:
    """Return where the person begins: with the work of the acting organisation, or with the own matters."""
    return capabilities.landing(session.get("org_kind", "")) if session.get("org") else "/"


@blueprint.app_template_global()
def came_from() -> str:
    """Return the page of this site that the person comes from, else the start (UI-05)."""
    try:
        came = urlsplit(request.headers.get("Referer", ""))
    except ValueError:  # what a program wrote there is no address
        return "/"
    path = came.path + (f"?{came.query}" if came.query else "")
    # Back to this page itself, or to signing in, would be a circle.
    if came.netloc == request.host and came.path not in (request.path, "/sign-in") and own_path(path):
        return path
    return "/"


def say(text: str, kind: str = "ok") -> None:
    """Tell something at the top of the next page: `ok`, `warn` or `error`."""
    flash(text, kind)


def people_see(detail: str) -> str:
    """Return the detail of a malformed request as people are told it.

    What is not in their language is left out.
    """
    if language() == "en" or any("\u4e00" <= one <= "\u9fff" for one in detail):
        return detail
    return _("填写的内容不正确,请返回检查")


def call(contract: Any, wanted: Any) -> Any:
    """Call a service as the person of the session, renewing the token shortly before it ends."""
    (reply,) = calls((contract, wanted))
    return reply


def calls(*asked: tuple[Any, Any] | None, partial: bool = False) -> list[Any]:
    """Make several calls at once as the person of the session; None in place of a call gives None.

    With `partial` a call that was refused gives its `Refused`, so that a page can show the rest;
    whoever has to sign in is sent there all the same.
    """
    client = current_app.config["CLIENT"]
    browser_session.session_token()
    g.trips = g.get("trips", 0) + 1
    replies = iter(
        client.call_all(
            [one for one in asked if one is not None],
            token=session["token"],
            org_id=session.get("org"),
            request_id=g.request_id,
        )
    )
    answers = [None if one is None else next(replies) for one in asked]
    for answer in answers:
        if isinstance(answer, Refused) and (
            not partial or answer.code in ("token_expired", "token_invalid", "password_change_needed")
        ):
            raise answer
    return answers


def names(
    org_ids: Iterable[int | None], person_ids: Iterable[int | None] = (), *more: tuple[Any, Any] | None
) -> tuple[dict[int, Any], dict[int, Any], list[Any]]:
    """Return organisations and people by id, and the answers to `more`, in one trip."""
    wanted_orgs = sorted({one for one in org_ids if one})[:500]
    wanted_people = sorted({one for one in person_ids if one})[:500]
    of_orgs = (orgs.get_orgs, orgs.GetOrgs(org_ids=wanted_orgs)) if wanted_orgs else None
    of_people = None
    if wanted_people:
        of_people = (members.describe_people, members.DescribePeople(person_ids=wanted_people))
    asked: tuple[Any, ...] = (of_orgs, of_people, *more)
    # With nothing to ask there is no trip: each answer is the None that stands for its call.
    found, people, *rest = calls(*asked) if any(asked) else asked
    return {org.org_id: org for org in found or ()}, {one.member_id: one for one in people or ()}, rest


def children_of(org_id: int) -> tuple[Any, Any]:
    """Return the call for the organisations right below one, as `calls` takes it."""
    return orgs.list_children, orgs.ListChildren(org_id=org_id, limit=500)


def members_of(branch_id: int) -> tuple[Any, Any]:
    """Return the call for the members of a branch, as `calls` takes it."""
    return members.list_members, members.ListMembers(branch_id=branch_id, limit=500)


def parties(items: Iterable[Any]) -> list[int | None]:
    """Return the ids of the organisations of transfers."""
    return [
        one
        for item in items
        for one in (item.source_branch_id, item.target_org_id, item.target_branch_id, item.waiting_org_id)
    ]


@blueprint.before_request
def guard() -> WerkzeugResponse | None:
    """Refuse a form that no page of ours sent, and what nobody can have typed; switch language and times.

    Where a number stands in the address in place of a name, lead to the page without it.
    """
    if said := fields.one_of(request.args.get("lang"), ("zh", "en")):
        session["language"] = said
    if said := fields.one_of(request.args.get("times"), ("exact", "relative")):
        session["times"] = said
    if request.method == "POST" and not genuine.is_genuine():
        if (
            "token" not in session
            and "Origin" in request.headers
            and genuine.from_our_page()
            and request.endpoint != "pages.sign_in"
        ):
            raise Refused(
                "token_expired"
            )  # the cookie is gone: the form is kept as a draft, and sent only if the person says so
        raise Refused(
            "bad_request",
            detail=_("表单已过期,请返回刷新后重试"),
        )
    fields.refuse_unreadable(request)
    if session.get("org") and not can(request.path):
        raise Refused("not_offered")
    if request.method == "GET" and request.args.get("name") and not fields.person(request.args["name"]):
        left = [(name, text) for name, text in request.args.items(multi=True) if name != "name"]
        return redirect(f"{request.path}?{urlencode(left)}")
    return None


def own_path(target: str) -> str:
    """Return the target if it is a path of this site, as browsers read it, else nothing."""
    return target if re.fullmatch(r"/(?![/\\])[^\\\x00-\x20]*", target) else ""


def first(outcomes: list[Any]) -> Any:
    """Return the answer to a command of one item, or raise its refusal."""
    if outcomes[0].refusal is not None:
        raise Refused.of(outcomes[0].refusal)
    return outcomes[0]


def send(contract: Any, item: Any) -> Refusal | None:
    """Make a command of one item; return why it was refused, None if it is done."""
    refusal: Refusal | None = call(contract, [item])[0].refusal
    return refusal


def office(org_id: int, in_the_way: Any = None) -> tuple[dict[int, Any], dict[int, list[Any]]]:
    """Return an organisation with who is in the way of a transfer, and its administrators.

    The administrators come by organisation, as far as the caller may see them (TRF-05, TRF-10,
    BEY-03).
    """
    if not org_id:
        return {}, {}
    waiting = [in_the_way.waiting_org_id, in_the_way.initiator_org_id] if in_the_way is not None else []
    found, _people, (administrators,) = names(
        [org_id, *waiting], (), (orgs.list_administrators, orgs.ListAdministrators(org_ids=[org_id]))
    )
    return found, staff(administrators)


def staff(administrators: Iterable[Any], people: dict[int, Any] | None = None) -> dict[int, list[Any]]:
    """Return administrators by organisation, described by right (MEM-32).

    Strangers see the surname and two stars.
    """
    listed = list(administrators)[:50]
    if people is None:
        people = names((), [one.person_id for one in listed])[1]
    by_org: dict[int, list[Any]] = {}
    for one in listed:
        if one.person_id in people:
            by_org.setdefault(one.org_id, []).append(people[one.person_id])
    return by_org

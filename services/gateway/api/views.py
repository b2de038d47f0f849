"""Requests of the API to calls, answers to JSON, spreadsheets and letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import msgspec
from flask import Response, g, request

from services.gateway import addresses, settings
from services.gateway import session as browser_session
from services.gateway.api import deletion, openapi, reading
from services.gateway.api.routes import Route
from services.gateway.files import letter, sheet
from shared.bus.rpc import RpcClient, encoded
from shared.errors import Refused
from shared.messages import MAX_ITEMS, decoding, members, orgs
from shared.messages.limits import MAX_ID
from shared.translations import N_


def as_json(value: Any, status: int = 200, kind: str = "application/json") -> Response:
    """Return a value as an answer in JSON."""
    return Response(msgspec.json.encode(value), status, content_type=kind)


def view_of(client: RpcClient, route: Route) -> Any:
    """Return the view of a line of the API's table."""
    contract = route.contract
    decoder = _decoder(contract)

    def view(**path_values: Any) -> Response:
        wanted = _from_query(route, path_values, decoder) if route.make else _from_body(contract, decoder)
        caller = _caller()

        def ask(one: Any) -> Any:
            # Three services know what stands in the way of a deletion; only the gateway may ask them all.
            if contract is orgs.delete_orgs:
                return deletion.delete(lambda calls: client.call_all(calls, **caller), one)
            return client.call(contract, one, **caller)

        def note() -> Any:
            return client.call(members.note_export, members.NoteExport(what=request.path), **caller)

        if request.args.get("format") == "xlsx":
            return _spreadsheet(route, wanted, ask, note)
        reply = ask(wanted)
        if route.pdf:
            return _letter(reply)
        if contract.name == "get_orgs" and "org_id" in path_values:
            return _one_org(reply)
        return _said(contract, reply)

    return view


def _caller() -> dict[str, Any]:
    """Return in whose name a request of the API is passed on, and under which id."""
    given = request.headers.get("X-Acting-Org")
    return {
        "token": request.headers.get("Authorization", "").removeprefix("Bearer ").strip(),
        "org_id": None if given is None else reading.identifier(given, "X-Acting-Org"),
        "request_id": g.request_id,
    }


def _one_org(reply: list[Any]) -> Response:
    if not reply:
        raise Refused("unknown_org")
    return as_json(reply[0])


def _said(contract: Any, reply: Any) -> Response:
    """Return a reply as the API gives it: lists wrapped, so that fields may be added beside them."""
    if contract.many:
        return as_json({"results": [_with_words(one) for one in reply]})
    return as_json({"items": reply} if isinstance(reply, list) else reply)


def download_of(client: RpcClient, route: Route) -> Any:
    """Return the view that gives a list of the API as a file (STAT-05, DOC-05).

    It is given to whoever is signed in to the pages, for the organisation they act for.
    """
    decoder = _decoder(route.contract)

    def view(**path_values: Any) -> Response:
        wanted = _from_query(route, path_values, decoder)
        token, org = browser_session.session_token(), browser_session.acting_org()

        def ask(contract: Any, one: Any) -> Any:
            return client.call(contract, one, token=token, org_id=org, request_id=g.request_id)

        what = "/api/v1" + request.path.removeprefix("/download")
        return _spreadsheet(
            route,
            wanted,
            lambda one: ask(route.contract, one),
            lambda: ask(members.note_export, members.NoteExport(what=what)),
        )

    return view


def _spreadsheet(route: Route, wanted: Any, ask: Callable[[Any], Any], note: Callable[[], Any]) -> Response:
    """Return all pages of a list as a spreadsheet.

    The first page is asked for before the answer begins, so that a refusal is answered as one. A
    file with people in it is noted in the access log (BEY-10).
    """
    if not openapi.is_list(route):
        raise Refused("bad_request", detail="format=xlsx needs a list")
    paged = bool(route.key) and not route.contract.many
    wanted = msgspec.structs.replace(wanted, limit=MAX_ITEMS) if paged else wanted
    first = _items(ask(wanted))
    if route.contract.service in ("members", "transfers"):
        note()

    def rows() -> Iterator[Any]:
        page = first
        while page:
            yield from page
            if not paged:
                return
            page = _items(ask(msgspec.structs.replace(wanted, after=_key(page[-1], route.key))))

    name = route.path.strip("/").split("/")[-1].replace("<", "").replace(">", "")
    return sheet.answer(rows(), name)


def _key(row: Any, name: str) -> Any:
    """Return the field of a row, or of a struct inside it, that the next page comes after."""
    return getattr(row, name) if name in row.__struct_fields__ else sheet.flat(row)[name]


def _items(reply: Any) -> list[Any]:
    return reply if isinstance(reply, list) else list(reply.items)


def _letter(reply: list[Any]) -> Response:
    if len(reply) != 1:
        raise Refused("too_many_items", limit=1)
    if reply[0].refusal is not None:
        raise Refused.of(reply[0].refusal)
    return Response(
        letter.render(reply[0], f"{addresses.public_root()}verify", settings.current().font),
        content_type="application/pdf",
        headers={
            "Content-Disposition": f"inline; filename=letter-{reply[0].number}.pdf",
            "Cache-Control": "no-store",
        },
    )


def _decoder(contract: Any) -> Any:
    return msgspec.json.Decoder(
        msgspec.defstruct("Body", [("items", list[contract.item])]) if contract.many else contract.item
    )


def _from_body(contract: Any, decoder: Any) -> Any:
    body = decoding.decode(decoder, request.get_data())
    if not contract.many:
        return _seen_here(body)
    if not body.items:
        raise decoding.bad("/items", N_("至少{}项"), 1)
    if len(body.items) > MAX_ITEMS:
        raise Refused("too_many_items", limit=MAX_ITEMS)
    return body.items


def _seen_here(wanted: Any) -> Any:
    """Return a request with what only the gateway knows of its caller.

    It takes the place of what the caller may have written there.
    """
    seen = {
        "address": request.remote_addr or "",
        "device": reading.line(request.headers.get("User-Agent", ""))[:120],
    }
    return msgspec.structs.replace(
        wanted, **{name: value for name, value in seen.items() if name in wanted.__struct_fields__}
    )


def _from_query(route: Route, values: dict[str, Any], decoder: Any) -> Any:
    for name, text in request.args.items():
        if name == "format" and text == "xlsx":
            continue
        if name not in route.query:
            raise decoding.bad("/" + reading.line(name)[:60], N_("没有此参数"))
        values[name] = _READ[route.query[name]](text, name)
    assert route.make is not None
    try:
        made = route.make(values)
    except TypeError as error:  # "... missing 1 required keyword-only argument: 'code'"
        raise decoding.bad(f"/{str(error).rsplit(' ', 1)[-1].strip(chr(39))}", N_("必须填写")) from error
    return _seen_here(decoding.decode(decoder, encoded(made)))


_READ: dict[Any, Callable[[str, str], Any]] = {
    int: lambda text, name: reading.number(text, name, -MAX_ID),
    str: lambda text, _: text,
    bool: reading.switch,
    date.fromisoformat: reading.day,
    datetime.fromisoformat: reading.instant,
}
"""How the text of a parameter is read, by its kind in the table of routes.

The contract says which numbers and texts are wanted.
"""


def _with_words(reply: Any) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(reply)
    refusal = getattr(reply, "refusal", None)
    if refusal is not None:
        values["refusal"] = {
            "code": refusal.code,
            "rule": refusal.kind.rule,
            "message": {"zh": refusal.say("zh"), "en": refusal.say("en")},
        }
    return values

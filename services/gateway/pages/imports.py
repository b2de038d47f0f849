"""Rosters: uploaded, watched, put right on the page, taken back as a file (IMP-02..09, DOC-06)."""

from __future__ import annotations

import io
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from uuid import UUID

import msgspec
from flask import current_app, redirect, request, session

from services.gateway import kit, settings
from services.gateway.files import roster, sheet, workbooks
from services.gateway.kit import fields
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.table import Listing
from shared.errors import Refused
from shared.messages import members
from shared.messages.limits import Number
from shared.messages.words import OrgKind, PostCode

PAGE = 50
"""Failed rows of a page, so that what the form sends stays bounded."""
CELLS = dict(
    zip(
        (
            "branch_name",
            "name",
            "id_number",
            "ethnic_group",
            "phone",
            "joined_on",
            "development_number",
            "post",
        ),
        roster.HEADER[1:],
        strict=True,
    )
)
"""What may be put right of a row, each with its label in the template."""


class Upload(msgspec.Struct):
    """A roster that is sent: its id, and whether it is of cadres of the own level."""

    import_id: UUID
    level: Annotated[str, msgspec.Meta(max_length=10)] = ""


class Again(msgspec.Struct):
    """Rows that were put right, by number."""

    row: Annotated[list[Number], msgspec.Meta(max_length=PAGE)]
    level: Annotated[str, msgspec.Meta(max_length=10)] = ""


def take() -> Any:
    """Hand the rows of a roster over under one id; lead to the page that shows how far they are (IMP-02)."""
    upload = request.files.get("file")
    if upload is None:
        raise Refused("roster_broken", detail=_("请选择文件"))
    asked = forms.value(Upload, request.form)
    import_id, own = asked.import_id, asked.level == "own"
    _may_import(import_id)
    readers: workbooks.Readers = current_app.config["READERS"]
    rows = readers.read_roster(upload.read(), session["person"], own=own)
    if not rows:
        raise Refused("roster_broken", detail=_("表格中没有数据行"))
    for at in range(0, len(rows), 500):
        for answer in kit.call(
            members.import_rows, [workbooks.to_send(import_id, row) for row in rows[at : at + 500]]
        ):
            if answer.refusal is not None:
                raise Refused.of(answer.refusal)
    return redirect(f"/imports/{import_id}{'?level=own' if own else ''}")


def _may_import(import_id: uuid.UUID) -> None:
    """Return if members lets the person of the session import for the acting organisation.

    Nobody else's file is opened.

    Raises:
        Refused: `token_expired`, `not_administrator`.

    """
    try:
        kit.call(members.get_import, members.GetImport(import_id=import_id))
    except Refused as error:
        if error.code != "unknown_import":  # it is new, as it should be; an old one is sent again
            raise


@kit.blueprint.get("/imports/<uuid:import_id>")
def import_progress(import_id: uuid.UUID) -> Any:
    """Show how far an import is, and what failed, to be put right there (IMP-06, IMP-07).

    The page asks again by itself until all is tried.
    """
    after = fields.number(request.args.get("after"))
    wanted = members.GetImport(import_id=import_id, failed_after=after)
    progress, below = kit.calls((members.get_import, wanted), _importable())
    own, shown = request.args.get("level") == "own", progress.failures[:PAGE]
    branches = sorted(one.full_name for one in below or () if one.kind == OrgKind.BRANCH)
    unknown = Counter(one.branch_name for one in shown if one.branch_name and one.branch_name not in branches)
    listing = Listing(f"/imports/{import_id}", {"level": "own" if own else ""})
    reasons = Counter(one.problem for one in progress.failures)
    return kit.render(
        "members/import.html",
        progress=progress,
        shown=shown,
        import_id=import_id,
        own=own,
        reasons=[(why, n) for why, n in reasons.most_common(20) if n > 1],
        waiting=progress.rows - progress.entered - progress.failed,
        level="?level=own" if own else "",
        branches=branches,
        names_of_branches=[(one, one) for one in branches],
        renamed=list(unknown.items()) if branches and not own else [],
        posts=[(one.zh, kit.word(one)) for one in PostCode],
        next_page=listing.address(after=shown[-1].number) if len(progress.failures) > PAGE else "",
        first=bool(after),
    )


def _importable() -> tuple[Any, Any] | None:
    """Return the call for the branches that the acting organisation imports into (IMP-11)."""
    return kit.children_of(session["org"]) if session.get("org") else None


@kit.blueprint.post("/imports/<uuid:import_id>/again")
def import_again(import_id: uuid.UUID) -> Any:
    """Try the rows that were put right on the page once more; the import goes on with them (IMP-07)."""
    form, asked = request.form, forms.value(Again, request.form)
    other = {
        name: form.get(f"branch-{at}", "").strip()
        for at, name in enumerate(form.getlist("wrong"))
        if form.get(f"branch-{at}", "").strip()
    }
    own = asked.level == "own"
    rows = [workbooks.to_send(import_id, _corrected(form, number, other, own)) for number in asked.row]
    if rows:
        answers = kit.call(members.import_rows, [msgspec.structs.replace(one, again=True) for one in rows])
        kit.first(answers)
        kit.say(_("已重新提交 %(n)s 行。", n=len(rows)))
    return redirect(f"/imports/{import_id}{'?level=own' if own else ''}")


def _corrected(form: Any, number: int, other: Mapping[str, str], own: bool) -> roster.RosterRow:
    """Return a row as the form has it; `other` are names of branches that stand for wrong ones."""
    cells = dict.fromkeys(roster.HEADER[1:], "") | {
        label: form.get(f"{name}-{number}", "") for name, label in CELLS.items()
    }
    cells[CELLS["branch_name"]] = other.get(cells[CELLS["branch_name"]], cells[CELLS["branch_name"]])
    return roster.read_row(number, cells, branches=not own)


@kit.blueprint.get("/imports/<uuid:import_id>/failed.xlsx")
def import_failures(import_id: uuid.UUID) -> Any:
    """Return the failed rows with their reasons in the template's form (IMP-07).

    They are to be corrected and uploaded again.
    """

    def rows() -> Iterator[roster.RosterRow]:
        after = 0
        while True:
            wanted = members.GetImport(import_id=import_id, failed_after=after)
            some = kit.call(members.get_import, wanted).failures
            if not some:
                return
            after = some[-1].number
            for one in some:
                yield roster.RosterRow(
                    one.number,
                    one.branch_name,
                    one.name,
                    one.id_number,
                    one.ethnic_group,
                    one.phone,
                    one.joined_on,
                    one.development_number,
                    one.post,
                    one.problem,
                )

    file = io.BytesIO()
    own = request.args.get("level") == "own"
    roster.write_roster(file, rows(), reasons=True, own=own, max_rows=settings.current().import_max_rows)
    return sheet.ready(file.getvalue(), "failed")


@kit.blueprint.get("/template.xlsx")
def template() -> Any:
    """Return one of the two import templates (IMP-04, DOC-06)."""
    file, own = io.BytesIO(), request.args.get("level") == "own"
    roster.write_roster(file, [], own=own, max_rows=settings.current().import_max_rows)
    return sheet.ready(file.getvalue(), "tuanqiao-cadres" if own else "tuanqiao-members")

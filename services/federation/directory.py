"""Reading the peer's directory, page by page, for orgs to mirror (FED-04, FED-06).

A reading is whole or of no use: a directory that changes while it is paged is read anew, under a higher
number, and what was told of it before then is overtaken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.engine import Connection

from services.federation.calling import Caller, NoAnswer
from services.federation.envelope import read_json
from services.federation.handovers import Bridge
from services.federation.schemas import OrgCode
from shared import clock
from shared.db import Database
from shared.messages.federation import DirectoryRead, PeerOrg
from shared.messages.limits import LINE, Dated, Instant, OrgName, Phone
from shared.messages.words import OrgKind
from shared.outbox import emit

PATH = "/bridge/v1/orgs"
PAGE = 500
MOST_PAGES = 10_000
TRIES = 5
"""How often a directory is begun anew that changes while it is read."""


class Org(Dated, frozen=True, kw_only=True):
    """An organisation in the peer's directory."""

    code: OrgCode
    parent: OrgCode = ""
    kind: Annotated[
        str,
        Meta(
            max_length=40,
            pattern=LINE,
            description="`leading_body`, `committee`, `work_committee`, `general_branch`, `branch`,"
            " or the Chinese word for it",
        ),
    ]
    name: OrgName
    short_name: OrgName = ""
    phone: Phone = ""
    changed: Instant | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the directory: `version` changes with every change of it; `next` is what to go on after."""

    version: Annotated[str, Meta(max_length=60)]
    orgs: Annotated[list[Org], Meta(max_length=PAGE)]
    next: OrgCode | None = None


KINDS: dict[str, str] = {
    **{str(kind): str(kind) for kind in OrgKind},
    **{kind.zh: str(kind) for kind in OrgKind},
    **{f"{level}级团委": str(OrgKind.LEADING_BODY) for level in ("省", "市", "县", "区")},
}
"""What a peer calls a kind, and what we do; another is told as `unknown`, and mirrored by nobody."""


class Changed(Exception):
    """The directory has changed while it was read."""


@dataclass
class Reader:
    """Reads the directory of one peer, so many organisations at a time."""

    bridge: Bridge
    database: Database
    caller: Caller
    piece: int = PAGE

    def read(self) -> int:
        """Read the whole directory and tell of it; return how many organisations it has.

        No transaction is open while the peer is asked.

        Raises:
            NoAnswer: The peer does not answer, not as agreed, or its directory never stands still.

        """
        for _ in range(TRIES):
            try:
                return self._read_once()
            except Changed:
                continue
        raise NoAnswer("a directory that changes all the time")

    def _read_once(self) -> int:
        with self.database.transaction(tells=False) as tx:
            reading = begin(tx, clock.now())
        version, after, count, asked = "", "", 0, {""}
        for number in range(MOST_PAGES):
            page = self._ask(after)
            if number and page.version != version:
                raise Changed
            version, last = page.version, page.next is None
            if page.next is not None and page.next in asked:
                raise NoAnswer("a directory that leads in a circle")
            with self.database.transaction() as tx:
                emit(tx, [self._told(reading, number, last, page)])
                if last:
                    end(tx, reading, version, clock.now())
            count += len(page.orgs)
            if page.next is None:
                return count
            after = page.next
            asked.add(after)
        raise NoAnswer("a directory without end")

    def _ask(self, after: str) -> Page:
        asked = urlencode({"after": after, "limit": self.piece} if after else {"limit": self.piece})
        body = self.caller.get(self.bridge, PATH, asked)
        try:
            return read_json(body, Page)
        except ValueError:
            raise NoAnswer("an answer that is no page of a directory") from None

    def _told(self, reading: int, number: int, last: bool, page: Page) -> DirectoryRead:
        return DirectoryRead(
            peer=self.bridge.peer,
            reading=reading,
            page=number,
            last=last,
            whole=True,
            orgs=[
                PeerOrg(
                    code=one.code,
                    parent_code=one.parent,
                    kind=KINDS.get(one.kind, "unknown"),
                    full_name=one.name,
                    short_name=one.short_name,
                    phone=one.phone,
                    changed=one.changed,
                )
                for one in page.orgs
            ],
        )


_BEGIN = sa.text("INSERT INTO readings (begun_at) VALUES (:now) RETURNING reading")
_END = sa.text("UPDATE readings SET (ended_at, version) = (:now, :version) WHERE reading = :reading")


def begin(tx: Connection, now: datetime) -> int:
    """Return the number of a new reading; of several the highest is the newest."""
    return int(tx.execute(_BEGIN, {"now": now}).scalar_one())


def end(tx: Connection, reading: int, version: str, now: datetime) -> None:
    """Store that a reading is whole."""
    tx.execute(_END, {"reading": reading, "version": version, "now": now})

"""A peer's directory becomes rows of our tree (FED-04, FED-06).

Its bridge alone tells of it: the right to is the peer's signature, which the bridge has checked. So
nobody here changes these rows, and what the peer says last holds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from services.orgs import domain, names, store
from services.orgs.mirror import rules
from services.orgs.mirror import store as mirror_store
from services.orgs.mirror.rules import Read
from shared.messages.federation import DirectoryRead, PeerOrg
from shared.messages.words import PEERS

log = logging.getLogger("tuanqiao.mirror")


def on_directory_read(tx: Connection, items: list[DirectoryRead]) -> None:
    """Take over pages of peers' directories (FED-04): each organisation by its code, the newest last.

    Pages may come twice and in any order: of an organisation the newest reading holds, and in it what
    was changed last; what has no superior yet waits for it. At the end of a whole reading the
    organisations that it has not are marked as gone. They are never deleted, since transfers name them.
    """
    for system in sorted({page.peer for page in items} & set(PEERS)):
        pages = [page for page in items if page.peer == system]
        mirror_store.alone(tx, system)
        top = mirror_store.top(tx, system)
        if top is None:  # a tree without this province, as for a test
            log.warning(
                "%s: no organisation %s below which its directory could stand", system, rules.TOPS[system]
            )
            continue
        _Mirror(tx, system, top).take(rules.newest(pages))
        _end(tx, pages)


def _end(tx: Connection, pages: Sequence[DirectoryRead]) -> None:
    """Mark what a whole reading has not, once all of its pages are there."""
    whole = [mirror_store.Page(page.peer, page.reading, page.page, page.last) for page in pages if page.whole]
    if not whole:
        return
    for (system, reading), found in sorted(mirror_store.add_pages(tx, whole).items()):
        if rules.is_whole(found):
            gone = mirror_store.leave(tx, system, reading)
            log.info("%s: directory %d is read, %d organisations are gone", system, reading, gone)


class _Mirror:
    """The mirror of one system, level by level: what stands below is placed after its superior."""

    def __init__(self, tx: Connection, system: str, top: Any) -> None:
        self.tx, self.system, self.top = tx, system, top

    def take(self, read: Mapping[str, Read]) -> None:
        """Write what was read, and what has waited for it; keep what has to wait."""
        left = dict(read)
        # what waits with the same code is older or newer than this, and no other may be placed
        self._join(left, mirror_store.next_ones(self.tx, self.system, left, ()))
        while left:
            codes = {code for one in left.values() for code in (one.org.code, one.org.parent_code)}
            known = mirror_store.by_code(self.tx, self.system, codes)
            now = rules.ready(left, known)
            if not now:
                break
            level = {code: left.pop(code) for code in now}
            self._place(level, known)
            self._join(left, mirror_store.next_ones(self.tx, self.system, (), level))
        self._wait(left)

    def _join(self, left: dict[str, Read], rows: Sequence[Any]) -> None:
        """Add what has waited, unless something newer of the same code is there."""
        for row in rows:
            one = Read(msgspec.json.decode(row.org, type=PeerOrg), row.reading)
            if one.org.code not in left or one.age > left[one.org.code].age:
                left[one.org.code] = one

    def _wait(self, left: Mapping[str, Read]) -> None:
        """Keep what has no superior yet; what is known of it stays where it is."""
        waiting = [
            mirror_store.Waiting(
                self.system,
                code,
                one.org.parent_code,
                one.reading,
                msgspec.json.encode(one.org).decode(),
            )
            for code, one in left.items()
        ]
        mirror_store.wait(self.tx, waiting)

    def _place(self, level: Mapping[str, Read], known: dict[str, Any]) -> None:
        """Write one level, whose superiors are all there."""
        rows = {code: known[code] for code in level if code in known}
        rows |= self._adopted({code: one for code, one in level.items() if code not in known})
        parents = {
            code: known[one.org.parent_code] if one.org.parent_code else self.top
            for code, one in level.items()
        }
        news = {
            code: self._as_shown(one, rows.get(code))
            for code, one in level.items()
            if code not in rows or rules.is_news(one, rows[code])
        }
        moved = self._moved(news, rows, parents)
        written, seen = [], []
        new = [code for code, one in news.items() if code not in rows and not one.org.gone]
        ids = dict(zip(new, store.new_ids(self.tx, len(new)), strict=True))
        for code, one in news.items():
            row = rows.get(code)
            if code in ids:
                written.append(self._row(one, ids[code], parents[code].org_id, None))
            elif row is not None and (code in moved or rules.differs(one.org, row)):
                parent_id = parents[code].org_id if code in moved else row.parent_id
                written.append(self._row(one, row.org_id, parent_id, row))
            elif row is not None:
                seen.append(mirror_store.Seen(row.org_id, one.reading, one.org.changed))
        mirror_store.write(self.tx, written, {row.org_id: row for row in rows.values()})
        mirror_store.see(self.tx, seen)

    def _adopted(self, new: Mapping[str, Read]) -> dict[str, Any]:
        """Return what stood here before the directory was read, by the codes that it gets by its name.

        The first without a superior is the province itself.
        """
        found: dict[str, Any] = {}
        if self.top.peer_code is None:
            for code, one in new.items():
                if not one.org.parent_code and one.org.kind == self.top.kind:
                    found[code] = self.top
                    break
        wanted = {domain.normalise(one.org.full_name): code for code, one in new.items() if code not in found}
        there = mirror_store.by_name(self.tx, self.system, wanted)
        return found | {wanted[name]: row for name, row in there.items() if row.org_id != self.top.org_id}

    def _moved(
        self, news: Mapping[str, Read], rows: Mapping[str, Any], parents: Mapping[str, Any]
    ) -> set[str]:
        """Move what has another superior, with all below it; return the codes.

        What would come below itself is tried again after the others, and stays where it is in the end:
        a directory that is read while it changes may say so.
        """
        left = [
            code
            for code in news
            if code in rows
            and rows[code].org_id != self.top.org_id
            and rows[code].parent_id != parents[code].org_id
        ]
        moved: set[str] = set()
        while some := [code for code in left if self._move(rows[code].org_id, parents[code].org_id)]:
            moved.update(some)
            left = [code for code in left if code not in moved]
        for code in left:
            log.warning("%s: %s would stand below itself", self.system, code)
        return moved

    def _move(self, org_id: int, parent_id: int) -> bool:
        """Move one subtree, unless it would come below itself; the move before may have changed the paths."""
        here, there = store.paths(self.tx, [org_id, parent_id])
        if there.startswith(here):
            return False
        mirror_store.move(self.tx, here, f"{there}{org_id}.")
        return True

    def _row(self, one: Read, org_id: int, parent_id: int, before: Any) -> mirror_store.Written:
        org, short = one.org, rules.short_name(one.org)
        was = before._mapping if before is not None else None
        return mirror_store.Written(
            org_id=org_id,
            parent_id=parent_id,
            system=self.system,
            kind=org.kind,
            short_name=short,
            full_name=org.full_name,
            **names.searchable(org.kind, org.full_name, short, was),
            phone=org.phone,
            gone=org.gone,
            peer_code=org.code,
            peer_reading=one.reading,
            peer_changed=org.changed,
        )

    def _as_shown(self, one: Read, row: Any) -> Read:
        """Return what was read as it is shown here.

        Of the province itself code and telephone are the peer's; its names are fixed (ORG-13).
        """
        if row is None or row.org_id != self.top.org_id:
            return one
        names_of = {"kind": row.kind, "full_name": row.full_name, "short_name": row.short_name}
        return one._replace(org=msgspec.structs.replace(one.org, gone=False, **names_of))

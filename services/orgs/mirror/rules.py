"""What a peer's directory says anew, and what can be placed already (FED-04, FED-06). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from services.orgs import domain
from shared.messages.federation import DirectoryRead, PeerOrg

TOPS = {str(system): int(province) for province, system in domain.PEER_SYSTEMS.items()}
"""The provincial body below which a peer's directory hangs."""


_BEFORE = datetime(1, 1, 1, tzinfo=UTC)
"""Before every change that a system speaks of."""


class Read(NamedTuple):
    """An organisation of a peer's directory, and in which reading it was seen."""

    org: PeerOrg
    reading: int

    @property
    def age(self) -> tuple[int, datetime]:
        """Return what of two that are read the newer one has more of."""
        return self.reading, self.org.changed or _BEFORE


class Mirrored(Protocol):
    """What is compared of an organisation that is mirrored already."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def short_name(self) -> str:
        """Its short name."""

    @property
    def full_name(self) -> str:
        """Its full name."""

    @property
    def phone(self) -> str:
        """Its telephone."""

    @property
    def gone(self) -> bool:
        """Whether it is no more."""

    @property
    def peer_code(self) -> str | None:
        """Its code in its own system."""

    @property
    def peer_reading(self) -> int:
        """In which reading it was seen last."""

    @property
    def peer_changed(self) -> datetime | None:
        """When its system had changed it."""


def newest(pages: Iterable[DirectoryRead]) -> dict[str, Read]:
    """Return of each code what was read of it last, in the order of codes.

    What nobody could show is left out: an empty code, an unknown kind, a name of one character.
    """
    found: dict[str, Read] = {}
    for page in pages:
        for org in page.orgs:
            one = Read(org, page.reading)
            if _is_sound(org) and (org.code not in found or one.age > found[org.code].age):
                found[org.code] = one
    return {code: found[code] for code in sorted(found)}


def _is_sound(org: PeerOrg) -> bool:
    names = (domain.normalise(org.full_name), domain.normalise(short_name(org)))
    fits = all(2 <= len(name) <= domain.NAME_MAX for name in names)
    return bool(org.code) and org.code != org.parent_code and org.kind in domain.KINDS and fits


def short_name(org: PeerOrg) -> str:
    """Return the short name of an organisation, or its full one where it has none."""
    return org.short_name.strip() or org.full_name


def is_news(one: Read, row: Mirrored) -> bool:
    """Return whether something was read later than what is known of it."""
    return row.peer_code is None or one.age > (row.peer_reading, row.peer_changed or _BEFORE)


def differs(org: PeerOrg, row: Mirrored) -> bool:
    """Return whether an organisation is to be written and told of: it is not what is known of it."""
    return (org.kind, org.full_name, short_name(org), org.phone, org.gone, org.code) != (
        row.kind,
        row.full_name,
        row.short_name,
        row.phone,
        row.gone,
        row.peer_code,
    )


def ready(read: Mapping[str, Read], known: Collection[str]) -> list[str]:
    """Return the codes of what stands below something that is known, or right below the province."""
    return [code for code, one in read.items() if not one.org.parent_code or one.org.parent_code in known]


def is_whole(pages: Mapping[int, bool]) -> bool:
    """Return whether all pages of a reading are there; the value says of each whether it is the last."""
    last = [page for page, ends in pages.items() if ends]
    return bool(last) and set(range(max(last) + 1)) <= set(pages)

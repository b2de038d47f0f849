"""What a field of a contract may hold: the named types that contracts are written with.

A limit here is the outer wall: it is checked where a message is decoded, at the gateway's edge and
again in the service that owns the data, and keeps out what no rule would ever accept (an id no
database holds, a text of a megabyte, NUL). Narrower rules with words of their own (TRF-11: a remark
of 100 characters) stay in each service's `domain.py`; `shown` tells integrators of those. Contracts
that only answer carry no limits: they come from services, and what was stored before a limit was
drawn has to stay readable.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Annotated, Any, get_type_hints
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.errors import Refused, told
from shared.messages import words
from shared.reference import INDUSTRIES
from shared.translations import N_

MAX_ID = 2**63 - 1
"""The largest id that a bigint holds."""
MAX_COUNT = 2**31 - 1
"""The largest number that an integer column holds."""
FARTHEST_ZONE = dt.timedelta(hours=14)
"""No zone on earth is farther from UTC."""
FIRST_YEAR, LAST_YEAR = 1900, 2199
"""Years in which days and instants of people lie.

Arithmetic with months and zones stays inside what Python and PostgreSQL know.
"""

# DEL and C1, line and paragraph separators, and what reverses the direction of the text around it;
# of C0 each pattern forbids its own: TYPED lets a tab through, PROSE a tab and line breaks.
# `\Z`, since `$` would let a line break at the end through; documents print it as `$`, which means
# the same there.
_FORBIDDEN = r"\x7f-\x9f\u2028-\u202e\u2066-\u2069"
LINE = rf"^[^\x00-\x1f{_FORBIDDEN}]*\Z"
TYPED = rf"^[^\x00-\x08\x0a-\x1f{_FORBIDDEN}]*\Z"
PROSE = rf"^[^\x00-\x08\x0b\x0c\x0e-\x1f{_FORBIDDEN}]*\Z"
STORED = r"^[^\x00]*\Z"
WORD = r"^[A-Za-z0-9_]*\Z"
OPAQUE = r"^[A-Za-z0-9._~=+/:-]*\Z"
PATTERNS: dict[str, str] = {
    LINE: N_("不能含换行或控制字符"),
    TYPED: N_("不能含换行或控制字符"),
    PROSE: N_("不能含控制字符"),
    STORED: N_("不能含NUL字符"),
    WORD: N_("只能含字母、数字和下划线"),
    OPAQUE: N_("含有不允许的字符"),
}
"""Every pattern with the words that say what is wanted."""


def _line(most: int, description: str, *, shown: int | None = None, pattern: str = LINE) -> Meta:
    return Meta(
        max_length=most,
        pattern=pattern,
        description=description,
        extra_json_schema={"maxLength": shown} if shown else None,
    )


def _choice(description: str, *values: str, most: int = 60, pattern: str = LINE) -> Meta:
    """Return the limits of a word of a list, which documents show.

    The service refuses another one, with words of its own rule.
    """
    return Meta(
        max_length=most,
        pattern=pattern,
        description=description,
        extra_json_schema={"enum": [str(one) for one in values]},
    )


def maybe(codes: type[words.Code]) -> Meta:
    """Return the limits of a text that is a code of a list or empty: of a filter, or of what may be missing.

    Documents show the list; a filter by another word finds nothing, or is refused by the rule.
    """
    return _choice("one of the list, or empty", "", *codes, most=40, pattern=WORD)


def _id(description: str) -> Meta:
    return Meta(ge=1, le=MAX_ID, description=description)


# ---- ids and numbers -----------------------------------------------------------------------------

OrgId = Annotated[int, _id("an organisation")]
OrgBeside = Annotated[int, _id("an organisation that is named, and stays as it is")]
PersonId = Annotated[int, _id("a person; members and cadres alike")]
TransferId = Annotated[int, _id("a transfer")]
Id = Annotated[int, _id("the number of an entry")]
After = Annotated[
    int, Meta(ge=0, le=MAX_ID, description="the key of the last item of the page before; 0: from the first")
]
PageSize = Annotated[int, Meta(ge=1, le=500, description="items of a page")]
Number = Annotated[int, Meta(ge=0, le=MAX_COUNT, description="a number or a count")]
SmallNumber = Annotated[
    int, Meta(ge=0, le=2**15 - 1, description="a number that stays small: a node, a line of a trail")
]
Version = Annotated[int, Meta(ge=0, le=MAX_ID, description="of several the highest holds")]
Year = Annotated[int, Meta(ge=FIRST_YEAR, le=LAST_YEAR, description="a year")]
YearOrNewest = Annotated[
    int, Meta(ge=0, le=LAST_YEAR, description="a year of graduation; 0: the newest there is")
]
Days = Annotated[int, Meta(ge=0, le=3660, description="days")]
Seconds = Annotated[float, Meta(ge=0, le=10**9, description="seconds")]

OrgIds = Annotated[list[OrgId], Meta(max_length=500, description="organisations")]
PersonIds = Annotated[list[PersonId], Meta(max_length=500, description="people")]
TransferIds = Annotated[list[TransferId], Meta(max_length=500, description="transfers")]
Uuids = Annotated[list[UUID], Meta(max_length=500, description="chosen by the system or the caller")]

# ---- days and instants ---------------------------------------------------------------------------

Day = Annotated[dt.date, Meta(description=f"a day in China, from {FIRST_YEAR} to {LAST_YEAR}")]
Instant = Annotated[
    dt.datetime, Meta(tz=True, description=f"an instant with its zone, from {FIRST_YEAR} to {LAST_YEAR}")
]

# ---- texts ---------------------------------------------------------------------------------------

PersonName = Annotated[str, _line(200, "a person's name as on the ID card", shown=50, pattern=TYPED)]
IdNumber = Annotated[
    str, _line(40, "an ID number; full width, blanks and small x make no difference", pattern=TYPED)
]
Phone = Annotated[str, _line(40, "a telephone number")]
OrgName = Annotated[str, _line(300, "the name of an organisation", shown=100)]
Line = Annotated[str, _line(200, "one line of text")]
ShortLine = Annotated[str, _line(60, "a short line of text")]
Prose = Annotated[str, _line(1000, "text, line breaks allowed", pattern=PROSE)]
Remark = Annotated[str, _line(1000, "a remark (TRF-11)", shown=100, pattern=PROSE)]
Note = Annotated[str, _line(1000, "an approver's note", shown=200, pattern=PROSE)]
Word = Annotated[str, _line(40, "one of a list of words, or empty", pattern=WORD)]
Sort = Annotated[
    str,
    _line(40, "a field by which a list is sorted, with - before it the other way round", pattern=OPAQUE),
]
Initiator = Annotated[
    str,
    _choice(
        "on whose behalf a transfer is started (TRF-01)",
        words.Initiator.SOURCE,
        words.Initiator.TARGET,
        words.Initiator.MEMBER,
    ),
]
Side = Annotated[str, _choice("transfers out of, or into, the acting organisation", "source", "target")]
PostCode = Annotated[str, _choice("a post; empty for none (CADRE-05)", "", *words.PostCode)]
Industry = Annotated[
    str, _choice("an industry, which says the domain; empty for none (ORG-25)", "", *INDUSTRIES)
]
Domain = Annotated[str, _choice("a domain; empty for all (ORG-26)", "", *words.Domain)]
OrgKind = Annotated[str, _choice("what an organisation is (ORG-02)", *words.OrgKind)]
OrgPurpose = Annotated[
    str,
    _choice(
        "what a branch is for (ORG-03)",
        *(one for one in words.OrgPurpose if one not in words.MADE_BY_THE_SYSTEM),
    ),
]
BranchReason = Annotated[
    str,
    _choice(
        "why a branch has no time of graduation; empty where it has one (GRAD-07)", "", *words.BranchReason
    ),
]
MemberMark = Annotated[
    str, _choice("how a member is marked; empty for not at all (GRAD-16)", "", *words.MemberMark)
]
StayKind = Annotated[
    str, _choice("abroad for studies, or retained at school (GRAD-26, GRAD-29)", *words.StayKind)
]
DeletionCause = Annotated[str, _choice("why a record is wrong (DOC-11)", *words.DeletionCause)]
ReasonCode = Annotated[
    str, _choice("why a member is transferred (TYPE-01, TYPE-26)", *words.Reason, most=40, pattern=WORD)
]
RejectionCode = Annotated[
    str,
    _choice(
        "why a transfer is rejected; empty where it is not (TRF-27)",
        "",
        *words.Rejection,
        most=40,
        pattern=WORD,
    ),
]
Plan = Annotated[str, _choice("what a member does next (BEY-01)", *words.Plan)]
Advised = Annotated[
    str, _choice("what the common superior says; empty for nothing yet (BEY-06)", *words.Advised)
]
Digits = Annotated[str, _line(40, "a number written as text")]
Password = Annotated[str, _line(200, "a password")]
CodeText = Annotated[
    str, _line(60, "a code as it was handed over; blanks, dashes and small letters make no difference")
]
Opaque = Annotated[str, _line(4096, "a ticket or a session, sent back as it was given", pattern=OPAQUE)]
Cursor = Annotated[
    str, _line(100, "the `cursor` of the last item of the page before; empty: from the first", pattern=OPAQUE)
]
LogKind = Annotated[
    str, _line(40, "a kind of the audit log, or what stands before its dot; empty: all", pattern=OPAQUE)
]
LogHash = Annotated[str, _line(64, "a hash in hexadecimal digits", pattern=WORD)]
Url = Annotated[str, _line(2000, "an address")]
Address = Annotated[str, _line(64, "the caller's network address; set by the gateway")]
Device = Annotated[str, _line(200, "the caller's program; set by the gateway")]

# ---- in events: bounds that hold whatever was stored before a limit was drawn --------------------

ToldText = Annotated[str, Meta(max_length=4000, pattern=STORED, description="text as it is stored")]


class Dated(msgspec.Struct, frozen=True, kw_only=True):
    """Base of requests with days or instants: each lies within sane years, in a zone that there is.

    Raises:
        OutOfYears: When made, and while decoding, where it becomes an error of the message.
        NoSuchZone: The same for the zone of an instant.

    """

    def __post_init__(self) -> None:
        """Look at each day and instant."""
        for name in dated_fields(type(self)):
            value = getattr(self, name)
            if value is not None and not FIRST_YEAR <= value.year <= LAST_YEAR:
                raise OutOfYears(name)
            # PostgreSQL takes none that is farther away, and would end the whole statement
            if isinstance(value, dt.datetime) and abs(value.utcoffset() or dt.timedelta()) > FARTHEST_ZONE:
                raise NoSuchZone(name)


class Untimely(Refused, ValueError):
    """A day or an instant that no request has; a `ValueError` too, so that decoders add the place.

    `wanted` is a text of the catalogue, with what is put into it.
    """

    def __init__(self, name: str, *wanted: object) -> None:
        super().__init__("bad_request", detail=told(f"{name}: ", wanted), pointer=f"/{name}")
        self.name, self.wanted = name, wanted

    def __str__(self) -> str:
        """Say it as `shared.messages.decoding` reads it."""
        return f"Wanted in `{self.name}`: {told(self.wanted)}"


class OutOfYears(Untimely):
    """A day or an instant outside the years that there are for people."""

    def __init__(self, name: str) -> None:
        super().__init__(name, N_("年份须在{}至{}之间"), FIRST_YEAR, LAST_YEAR)


class NoSuchZone(Untimely):
    """An instant whose zone is farther from UTC than any on earth."""

    def __init__(self, name: str) -> None:
        super().__init__(name, N_("时区与UTC之差不得超过{}小时"), FARTHEST_ZONE // dt.timedelta(hours=1))


@cache
def dated_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the names of a contract's fields that hold a day or an instant."""
    return tuple(
        name
        for name, hint in get_type_hints(kind).items()
        if name in kind.__struct_fields__ and _is_dated(hint)
    )


def _is_dated(hint: Any) -> bool:
    return hint in (dt.date, dt.datetime) or any(_is_dated(one) for one in getattr(hint, "__args__", ()))


@cache
def org_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the names of a contract's fields that name organisations, one or several."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(name for name in kind.__struct_fields__ if _names_orgs(hints[name]))


def _names_orgs(hint: Any) -> bool:
    return hint in (OrgId, OrgIds) or any(_names_orgs(one) for one in getattr(hint, "__args__", ()))


def orgs_of(item: msgspec.Struct) -> set[int]:
    """Return the organisations that a request names."""
    found: set[int] = set()
    for name in org_fields(type(item)):
        value = getattr(item, name)
        found.update(value if isinstance(value, list) else () if value is None else (value,))
    return found

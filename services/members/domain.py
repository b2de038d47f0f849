"""The rules of people: identity numbers, ages, passwords, masks; whom a transfer may hold.

Pure functions; `today` and `now` are arguments.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

from stdnum.cn import ric

from shared.errors import Refusal
from shared.messages.transfers import TransferRequested

MINIMUM_AGE = 14
MAXIMUM_AGE = 28
"""A plain member is 14 or older and younger than 28 (MEM-04)."""
NUMBER_FROM = date(2017, 1, 1)
"""Members who joined from this day on need a development number, in Xinjiang a year earlier (MEM-08)."""
LOCK_AFTER = 5
"""Wrong passwords for one account from one address before the two are closed to each other."""
LOCK_ACCOUNT_AFTER = 10
"""Wrong passwords for one account from everywhere before it is closed.

It stays open where its person has signed in before.
"""
MISSES_OF_LOOK_UPS = 30
"""Wrong pairs of name and number that one person may send within a quarter of an hour (TRF-05).

They belong to nobody, or not together.
"""
RESET_CODES_OF_ONE = 10
"""Reset codes made for one account within a quarter of an hour (ACC-09).

Each takes the place of the one before.
"""
NAMES_THAT_DIFFER = 10
"""Wrong names for registered numbers that one person may send in a quarter of an hour (CADRE-03)."""
CAPTCHA_AFTER = 50
"""Failures from an address after which people not known there need a captcha, whatever the setting.

It is high because a whole school shares one address.
"""
LOCK_ADDRESS_AFTER = 1000
"""Failures from an address after which people not known there are refused."""
CODES_FROM_ADDRESS = 50
"""Wrong registration codes from an address before more of them are refused; hardly anybody types one."""
REGISTRATIONS_FROM_ADDRESS = 300
"""Self-registrations from an address in a quarter of an hour.

A school registers its classes in its computer rooms.
"""
CAPTCHAS_FROM_ADDRESS = 3000
"""Captchas drawn for an address in a quarter of an hour."""
INITIAL_TAIL = 8
"""Characters of the ID number that make the initial password; a setting may say 6 (ACC-04)."""
PASSWORD_MIN = 8
XINJIANG = "65"
"""The province with limits of its own (MEM-06, MEM-08)."""
_DOTS = "·•‧∙⋅・･．"
"""What keyboards give for the middle dot in names such as 阿依古丽·买买提."""
_FORM = re.compile("[0-9]{17}[0-9X]")


class NewPerson(TypedDict):
    """A person to be entered; what is sealed comes as base64. Without an id the database gives one."""

    person_id: int | None
    name: str
    id_sealed: str
    id_index: str
    phone_sealed: str | None
    ethnic_group: str
    joined_on: date | None
    development_number: str
    branch_id: int | None
    born_on: date


def normalise_id(text: str) -> str:
    """Return an ID number as it is compared: half width, no blanks, upper-case X (ACC-01)."""
    return "".join(unicodedata.normalize("NFKC", text).split()).upper()


def clean_name(text: str) -> str:
    """Return a name as it is stored and compared (MEM-02).

    Control characters and outer blanks go, and middle dots become one kind. Characters are not
    folded otherwise: a rare or old form is part of the name.
    """
    # Cc and Cf are control and invisible characters, such as blanks without width
    kept = "".join(one for one in text if unicodedata.category(one) not in ("Cc", "Cf"))
    return " ".join("".join("·" if one in _DOTS else one for one in kept).split())


def check_name(name: str) -> Refusal | None:
    """Return what is wrong with a cleaned name.

    It consists of letters of one script, middle dots, and the hyphens, apostrophes and blanks of
    Latin names; it has 50 characters at most. Of one script only: a Cyrillic letter in a Latin name
    looks like it and is another name.
    """
    if not name:
        return Refusal("name_missing")
    # L and M are letters and the marks that combine with them
    good = all(unicodedata.category(one)[0] in "LM" or one in "·-' " for one in name)
    good = good and len({_script(one) for one in name if unicodedata.category(one)[0] == "L"}) <= 1
    if good and len(name) <= 50 and unicodedata.category(name[0])[0] == "L":
        return None
    return Refusal("name_invalid")


def _script(letter: str) -> str:
    """Return the script of a letter, from the first word of its Unicode name: LATIN, CYRILLIC, CJK.

    All Han characters are of one script.
    """
    script = unicodedata.name(letter, "CJK").split()[0]
    return "CJK" if script in ("CJK", "IDEOGRAPHIC") else script


def born_on(id_number: str) -> date:
    """Return the birth date in a checked number (MEM-03)."""
    return date(int(id_number[6:10]), int(id_number[10:12]), int(id_number[12:14]))


def check_id(id_number: str, today: date) -> Refusal | None:
    """Return what is wrong with a normalised number: length, digits, checksum, birth date (IMP-08).

    An unknown division code is not an error: divisions are abolished and made, numbers stay.
    """
    if not _FORM.fullmatch(id_number) or ric.calc_check_digit(id_number) != id_number[-1]:
        return Refusal("id_invalid")
    try:
        return None if date(1900, 1, 1) <= born_on(id_number) <= today else Refusal("id_invalid")
    except ValueError:  # such as the 30th of February
        return Refusal("id_invalid")


def age_on(born: date, day: date) -> int:
    """Return the age in full years on `day`."""
    # a year less before the birthday: the comparison counts as one
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


AGE_GROUPS = ("14-17", "18-22", "23-27", "28+")
"""Ages of members as they are counted (STAT-09, MEM-26).

They stand for pupils, students, graduates and workers, and members over age.
"""


def age_group(age: int) -> str:
    """Return the group of an age in full years.

    Those younger than any member should be count with the youngest.
    """
    if age < 18:
        return AGE_GROUPS[0]
    if age < 23:
        return AGE_GROUPS[1]
    if age < MAXIMUM_AGE:
        return AGE_GROUPS[2]
    return AGE_GROUPS[3]


def check_ages(
    born: date, joined_on: date | None, post: str, today: date, province: str = ""
) -> Refusal | None:
    """Return what is wrong with the ages: now (MEM-04) and at joining (MEM-05; Xinjiang always 13, MEM-06).

    Only a cadre may be entered without a joining date: some are no members any more (MEM-25).
    """
    age = age_on(born, today)
    if age < MINIMUM_AGE or (not post and age >= MAXIMUM_AGE):
        return Refusal("age_out_of_range")
    if joined_on is None:
        return None if post else Refusal("joined_on_missing")
    if joined_on > today:
        return Refusal("joined_in_future")
    least = _least_age(joined_on, province)
    # rosters give the month of joining only
    months = (joined_on.year - born.year) * 12 + joined_on.month - born.month
    return Refusal("joined_too_young", {"age": str(least)}) if months < least * 12 else None


def _least_age(joined_on: date, province: str) -> int:
    """Return at what age one could join then (MEM-05, MEM-06); the national limit rose twice."""
    if province == XINJIANG:
        return 13
    if joined_on.year >= 2019:
        return 14
    if joined_on.year >= 2017:
        return 13
    return 12


Ranges = Mapping[tuple[str, int], Sequence[tuple[str, str]]]
"""Development numbers issued, by province and year: first and last of each range (MEM-11)."""


def number_from(province: str = "") -> date:
    """Return from which joining date a development number is needed: 2017, in Xinjiang 2016 (MEM-08)."""
    return NUMBER_FROM.replace(year=2016) if province == XINJIANG else NUMBER_FROM


def check_development_number(
    number: str, joined_on: date | None, province: str = "", issued: Ranges = MappingProxyType({})
) -> Refusal | None:
    """Return what is wrong with a development number.

    It may be missing (MEM-08), of another year (MEM-10), malformed (MEM-12) or never issued
    (MEM-11). Where no ranges of a province and year are known, every number of the right form is
    taken.
    """
    if not number:
        if joined_on is not None and joined_on >= number_from(province):
            return Refusal("development_number_missing")
        return None
    if not (number.isascii() and number.isdigit() and len(number) == 12):
        return Refusal("development_number_form")
    if joined_on is not None and number[:4] != str(joined_on.year):
        return Refusal("development_number_year")
    some = issued.get((province, int(number[:4])), ())
    if some and not any(first <= number <= last for first, last in some):
        return Refusal("number_out_of_range", {"province": province, "year": number[:4]})
    return None


def sex_of(id_number: str) -> str:
    """Return `male` or `female`, as the number says (MEM-02)."""
    return "male" if int(id_number[16]) % 2 else "female"


def missing(
    ethnic_group: str,
    has_phone: bool,
    is_member: bool,
    joined_on: date | None,
    development_number: str,
    needed_from: date = NUMBER_FROM,
) -> list[str]:
    """Return the required fields that are not filled (MEM-22).

    The column `complete` of people says the same in SQL. From the joining date `needed_from` on a
    development number is needed (`number_from`).
    """
    return [
        name
        for name, wanted in (
            ("ethnic_group", not ethnic_group),
            ("phone", not has_phone),
            ("joined_on", is_member and joined_on is None),
            (
                "development_number",
                is_member and joined_on is not None and joined_on >= needed_from and not development_number,
            ),
        )
        if wanted
    ]


def may_delete(org: Any, level: str) -> bool:
    """Return whether a leading body is high enough to delete members (MEM-19).

    Of `org`, `org_id`, `parent_id`, `provincial_id` and `division_code` are read. `level` is
    `county`: any; `city`: no county, which its division code of six digits shows; `province`: the
    provincial body or the centre.
    """
    if level == "province":
        return org.parent_id is None or org.org_id == org.provincial_id
    return level == "county" or len(org.division_code or "") != 6


def add_months(day: date, months: int) -> date:
    """Return the last day of the month so many months later (GRAD-27)."""
    first = day.month - 1 + months
    return month_end(date(day.year + first // 12, first % 12 + 1, 1))


def mask_id(id_number: str) -> str:
    """Return a number of which its first four and its last character are left (MEM-32).

    The date of birth and the sequence stay hidden: with them, or with four characters at the end, a
    list would give away what the initial password is made of (docs/adr/0009).
    """
    return f"{id_number[:4]}{'*' * (len(id_number) - 5)}{id_number[-1:]}"


def mask_name(name: str) -> str:
    """Return the surname and two stars (MEM-32)."""
    return f"{name[:1]}**"


def initial_password(id_number: str, tail: int = INITIAL_TAIL) -> str:
    """Return the password that an account starts with: the last characters of the number (ACC-04).

    There are as many of them as the setting said when the account was made.
    """
    return id_number[-tail:]


def check_new_password(password: str, id_number: str) -> Refusal | None:
    """Return what is wrong with a new password (ACC-05)."""
    # a piece of the ID number is no secret
    weak = len(password) < PASSWORD_MIN or password.upper() in id_number
    return Refusal("password_weak") if weak else None


def resetters(rights: Sequence[str], home: str, levels: int) -> frozenset[int]:
    """Return the organisations whose administrators reset the password of an account (ACC-07, ADM-07).

    `rights` are the paths of the organisations that the person administers or may look at, `home`
    is the path of the person's branch, empty if there is none. Without rights: that branch, and as
    many levels above it as a setting says. With rights: the organisation of the highest one and its
    direct superior, as far as they stand above all of the person's places; where neither does, the
    lowest organisation that stands above them all. So by a reset nobody gains what lies outside
    their own reach.
    """
    if not rights:
        return frozenset(_line(home)[-1 - levels :])  # the branch and `levels` superiors
    places = [*rights, *([home] if home else [])]
    common = set.intersection(*(set(_line(place)) for place in places))
    # the shortest path is the highest; of equal ones always the same is taken
    highest = _line(min(rights, key=lambda path: (len(_line(path)), path)))
    return frozenset(common.intersection(highest[-2:])) or frozenset(
        [one for one in highest if one in common][-1:]
    )


def _line(path: str) -> list[int]:
    """Return the ids on a path, from the root down to the organisation itself."""
    return [int(one) for one in path.split(".") if one]


def month_end(day: date) -> date:
    """Return the last day of the month: a time of graduation is a month (GRAD-03)."""
    # four days after the 28th every month is over
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


class Known(NamedTuple):
    """Somebody whose ID number is registered; `pending` is an own registration that waits (REG-04).

    `claimed`: nothing but own registrations, which nobody has accepted, says that there is such a person.
    """

    person_id: int
    name: str
    branch_id: int | None = None
    pending: bool = False
    claimed: bool = False


class Deleted(NamedTuple):
    """Somebody last deleted from a branch that is still there: under which name, from which (TRF-36)."""

    name: str
    branch_id: int


# ---- whom a transfer may hold ------------------------------------------------------------------------------


class Standing(NamedTuple):
    """How a person stands when a transfer asks: where, held by which transfer, graduate or marked.

    `may_go_abroad` says that the school has approved it (GRAD-33).
    """

    branch_id: int | None
    reserved_by: int | None = None
    graduate: bool = False
    mark: str = ""
    may_go_abroad: bool = False


def check_hold(person: Standing | None, item: TransferRequested) -> Refusal | None:
    """Return why a member is not held for a transfer (TRF-02, MEM-01).

    The statement that holds members (`store.reserve`) says the same, in the same order; this one is
    asked for the whole of a batch before anybody of it is held.
    """
    if person is None:
        return Refusal("unknown_member")
    if person.reserved_by == item.transfer_id:
        # by an earlier copy of the same message
        return None
    if person.branch_id != item.source_branch_id:
        return Refusal("member_elsewhere")
    if person.reserved_by is not None:
        return Refusal("transfer_open")
    return check_reason(person, item.reason_kind)


def check_reason(person: Standing, kind: str) -> Refusal | None:
    """Return why a kind of reason does not fit a member (GRAD-15, GRAD-17, GRAD-33, TYPE-21)."""
    if kind != "any" and (kind in ("graduate", "abroad")) != person.graduate:
        return Refusal("graduate_reason_needed" if person.graduate else "ordinary_reason_needed")
    # with an ordinary reason only delayed graduates and teachers leave the schools; students drop out
    if kind == "outward" and person.mark not in ("delayed", "teacher"):
        return Refusal("drop_out_needed")
    if kind == "abroad" and not person.may_go_abroad:
        return Refusal("abroad_request_missing")
    return None


def check_destination(mark: str, purposes: str, purpose: str | None) -> Refusal | None:
    """Return why a delayed graduate does not go to an organisation (GRAD-22).

    `purposes` is what a setting allows, parted by commas; empty it allows every organisation.
    `purpose` is that of the organisation, None where there is none.
    """
    allowed = {one for one in purposes.split(",") if one}
    if mark == "delayed" and allowed and purpose not in allowed:
        return Refusal("delayed_elsewhere")
    return None


def check_rights(setting: str, rights: Iterable[int], source: str, target: str) -> Refusal | None:
    """Return why an administrator does not leave the source for the target (ADM-18).

    Only where the setting says `block`, and only while one of the `rights` is over an organisation
    on the path of the source that is not on the path of the target.
    """
    left = set(_line(source)) - set(_line(target))
    return Refusal("is_administrator") if setting == "block" and left.intersection(rights) else None


def check_batches(items: Iterable[TransferRequested], unfit: Mapping[int, Refusal]) -> dict[int, Refusal]:
    """Return why transfers of batches are refused, by transfer (BATCH-05).

    Of a batch all members are held, or none: all, where it has come whole and nobody of it is
    `unfit`. Whoever is fit hears that the batch was stopped.
    """
    batches: dict[UUID, list[TransferRequested]] = {}
    for item in items:
        if item.batch_id is not None and item.batch_size:
            batches.setdefault(item.batch_id, []).append(item)
    refused: dict[int, Refusal] = {}
    for batch in batches.values():
        whole = all(len(batch) >= item.batch_size for item in batch)
        if not whole or any(item.transfer_id in unfit for item in batch):
            stopped = Refusal("batch_stopped")
            refused |= {item.transfer_id: unfit.get(item.transfer_id, stopped) for item in batch}
    return refused

"""The registry: who may be a member, and what is sealed of one, as the page has it."""

import json
import re
import unicodedata
from datetime import date, datetime

from tests.peers.gd import jose, moments

PERSON, RECORD = "person+jwe", "record+jwe"
NUMBER = re.compile(r"\d{17}[\dX]", re.ASCII)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
NAME = re.compile(r"[^\W\d_]+(?:[·.' -][^\W\d_]+)*")
YOUNGEST, TOO_OLD = 14, 28  # years
TEXTS = {"number": 40, "name": 200, "phone": 40, "remark": 1000, "ethnic_group": 60, "development_number": 60}
TEXTS |= {"contact": 60, "emergency_contact": 60}
PAPERS = ("ethnic_group", "development_number", "contact", "emergency_contact", "party", "stays")
MOST_STAYS = 100


def check_digit(seventeen: str) -> str:
    """Return the last place of an identity number (GB 11643)."""
    total = sum(int(digit) * weight for digit, weight in zip(seventeen, WEIGHTS, strict=True))
    return "10X98765432"[total % 11]


def plain(text: str) -> str:
    """Return an identity number in its one spelling: full width, blanks and small x make no difference."""
    return "".join(unicodedata.normalize("NFKC", text).split()).upper()


def is_number(number: str) -> bool:
    """Return whether this can be an identity number."""
    if not NUMBER.fullmatch(number) or check_digit(number[:17]) != number[17]:
        return False
    try:
        return born(number).year >= 1900
    except ValueError:
        return False


def born(number: str) -> date:
    """Return the birthday in an identity number; ValueError where there is none."""
    return datetime.strptime(number[6:14], "%Y%m%d").date()


def age(birthday: date, today: date) -> int:
    """Return the full years."""
    return today.year - birthday.year - ((today.month, today.day) < (birthday.month, birthday.day))


def today() -> date:
    """Return the day in China."""
    return datetime.fromtimestamp(moments.now(), moments.CHINA).date()


# ---- what goes out -------------------------------------------------------------------------------


def person(subject: str, member) -> dict:
    """Return what is sealed as `person` of an offer."""
    said = {"subject": subject, "number": member["number"], "name": member["name"]}
    more = {"joined_on": member["joined_on"], "phone": member["phone"]}
    return said | {name: value for name, value in more.items() if value}


def record(subject: str, member, branch: str) -> dict:
    """Return what is sealed as `record`: the person again, what came along earlier, and the stay here."""
    papers = json.loads(member["papers"])
    stays = [*papers.pop("stays", []), {"branch": branch, "since": member["since"], "until": str(today())}]
    return person(subject, member) | papers | {"stays": stays[-MOST_STAYS:]}


# ---- what comes in -------------------------------------------------------------------------------


def opened(key: dict, kind: str, subject: str, jwe: str) -> tuple[dict, str]:
    """Return what is in a seal, its number in one spelling, and why it is refused; empty for none."""
    unreadable = "wrong_data" if kind == PERSON else "record_unreadable"
    try:
        content = jose.unseal(key, kind, jwe)
    except jose.Unreadable:
        return {}, unreadable
    if not _has_its_fields(content):
        return {}, unreadable
    if content["subject"] != subject:
        return {}, "identity_differs" if kind == PERSON else "record_unreadable"
    return content | {"number": plain(content["number"])}, ""


def _has_its_fields(content: dict) -> bool:
    stays = content.get("stays", [])
    return (
        all(isinstance(content.get(name), str) for name in ("subject", "number", "name"))
        and all(isinstance(content.get(name, ""), str) for name in TEXTS)
        and all(len(content.get(name, "")) <= most for name, most in TEXTS.items())
        and (content.get("joined_on") is None or _is_day(content["joined_on"]))
        and isinstance(content.get("party", False), bool)
        and isinstance(stays, list)
        and len(stays) <= MOST_STAYS
        and all(isinstance(stay, dict) and _is_stay(stay) for stay in stays)
    )


def _is_stay(stay: dict) -> bool:
    until = stay.get("until")
    return (
        isinstance(stay.get("branch"), str)
        and _is_day(stay.get("since"))
        and (until is None or _is_day(until))
    )


def _is_day(text) -> bool:
    try:
        return isinstance(text, str) and 1900 <= date.fromisoformat(text).year < 2200
    except ValueError:
        return False


def what_is_wrong(content: dict) -> str:
    """Return the reason to refuse a person; empty for none."""
    if not is_number(content["number"]):
        return "identity_invalid"
    if not NAME.fullmatch(unicodedata.normalize("NFKC", content["name"]).strip()):
        return "name_invalid"
    years = age(born(content["number"]), today())
    return "" if YOUNGEST <= years < TOO_OLD else "age_out_of_range"


def member(content: dict) -> dict:
    """Return the row of a member from a record."""
    number = content["number"]
    return {
        "number": number,
        "name": content["name"],
        "gender": "男" if int(number[16]) % 2 else "女",
        "born_on": str(born(number)),
        "joined_on": content.get("joined_on") or "",
        "phone": content.get("phone", ""),
        "papers": json.dumps({name: content[name] for name in PAPERS if name in content}, ensure_ascii=False),
        "since": str(today()),
    }

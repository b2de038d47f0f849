"""What docs/federation.md leaves open and this side needs all the same: as little as will do.

1. The seal: compact JWE, `ECDH-ES` with `A256GCM` on X25519, `kid` the thumbprint of the key, no `apu` and no
   `apv`. The keys lie with the signing keys and have `"use": "enc"`.
2. `person` holds `PERSON`, `record` holds the same and the papers.
3. `GET /bridge/v1/orgs?after=CODE&limit=N` gives the organisations, in the order of their codes, which are
   whole numbers in decimal digits at GD: `{"version", "orgs": [{"code", "parent", "kind", "name", "phone"}],
   "next"}`; `next` is the code to go on after, or null. `version` changes with every change of the directory:
   who sees it change while paging begins anew.
4. It needs the token of `about`; its `path` is the path without what follows `?`.
5. A transfer belongs to the day of its sender's message number 1, even where that was refused for good.
"""

import re

PERSON = ("number", "name", "gender", "born_on", "joined_on")
NUMBER = re.compile(r"\d{17}[\dX]")
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
PAGE = 100  # organisations on a page, at most


def check_digit(seventeen: str) -> str:
    """Return the last place of an identity number (GB 11643)."""
    total = sum(int(digit) * weight for digit, weight in zip(seventeen, WEIGHTS, strict=True))
    return "10X98765432"[total % 11]


def is_number(number) -> bool:
    """Return whether this can be an identity number."""
    is_text = isinstance(number, str) and NUMBER.fullmatch(number) is not None
    return is_text and check_digit(number[:17]) == number[17]


def person(member) -> dict:
    """Return what is sealed as `person` of an offer."""
    return {name: member[name] for name in PERSON}


def record(member) -> dict:
    """Return what is sealed as `record`: the person again, and the papers."""
    return person(member) | {"papers": [{"kind": "入团志愿书", "on": member["joined_on"]}]}


def what_is_wrong(content: dict) -> str:
    """Return the reason to refuse a person; empty for none."""
    if not is_number(content.get("number")):
        return "identity_invalid"
    if not all(isinstance(content.get(name), str) for name in PERSON) or not content["name"].strip():
        return "name_invalid"
    return ""

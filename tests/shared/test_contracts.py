"""Contracts and the documents made from them."""

import json
from pathlib import Path

import pytest

from shared.messages import Act, Query, asyncapi, events, members, orgs, scheduler, transfers

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.rule("BEY-15")
def test_asyncapi_is_printed():
    """BEY-15: docs/asyncapi.json is what the contracts say."""
    assert (DOCS / "asyncapi.json").read_text("utf-8") == asyncapi.page()


def test_every_event_has_sender_and_words():
    """Each event names its publisher, says what it means, and is sent by exactly one service."""
    made = asyncapi.document()

    def who(action, topic):
        """Return the names of the services that do something with an event."""
        return [
            name.split(".")[0]
            for name, one in made["operations"].items()
            if one["action"] == action and name.endswith(f".{topic}")
        ]

    for topic in made["channels"]:
        event = events()[topic]
        assert event.__doc__
        assert made["channels"][topic]["description"]
        assert who("send", topic) == [event.publisher]
        assert set(who("receive", topic)) == set(event.consumers)


def test_what_is_answered_without_a_transaction():
    """Their handlers have tests in which PostgreSQL takes no change; whoever adds one adds its test."""
    places = (orgs, members, transfers, scheduler)
    queries = [one for place in places for one in vars(place).values() if isinstance(one, Query)]
    assert {one.name for one in queries if one.reads} == {
        "list_work",
        "get_transfer",
        "search_orgs",
        "list_children",
    }
    assert not any(isinstance(one, Act) for one in queries if one.reads)


def test_references_resolve():
    """Every reference of the document points into it."""
    text = asyncapi.page()
    made = json.loads(text)
    for part in text.split('"$ref": "#/')[1:]:
        place = made
        for key in part.split('"')[0].split("/"):
            place = place[key]


def test_every_refusal_has_its_own_words():
    """Every refusal of the table is used and says something of its own in both languages.

    Both languages fill in the same fields.
    """
    import re
    from collections import Counter

    from shared.errors import KINDS

    code = "".join(
        path.read_text("utf-8")
        for folder in ("services", "shared")
        for path in (DOCS.parent / folder).rglob("*.py")
        if path.name != "errors.py"
    )
    assert [name for name in KINDS if not re.search(rf"['\"]{name}['\"]", code)] == []
    for words in ("zh", "en"):
        times = Counter(getattr(kind, words) for kind in KINDS.values())
        assert [text for text, n in times.items() if n > 1] == []
    for name, kind in KINDS.items():
        assert set(re.findall(r"{(\w+)}", kind.zh)) == set(re.findall(r"{(\w+)}", kind.en)), name
        assert re.search(r"[\u4e00-\u9fff]", kind.zh), name
        assert not re.search(r"[\u4e00-\u9fff]", kind.en), name


def test_fields_to_fill_in_have_english_names():
    """What a refusal asks to fill in is named in the reader's language.

    That holds for every label in the code and every field of a reason.
    """
    import re
    import tomllib

    from shared.errors import Refusal
    from shared.reference import FIELDS

    code = "".join(path.read_text("utf-8") for path in (DOCS.parent / "services").rglob("*.py"))
    labels = set(re.findall(r'"field_missing"(?:, \{"field": |, field=)"([^"]+)"', code))
    reasons = tomllib.loads((DOCS.parent / "shared/messages/words/reasons.toml").read_text("utf-8"))
    labels |= {
        reason[name]
        for reason in reasons.values()
        for name in ("place_name", "place_address")
        if name in reason
    }
    assert len(labels) > 9, "they were found at all"
    assert labels - set(FIELDS) == set()
    for label in FIELDS:
        said = Refusal("field_missing", {"field": label})
        assert label in said.say("zh")
        assert not re.search(r"[\u4e00-\u9fff]", said.say("en"))

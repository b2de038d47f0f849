"""The page for whoever writes the other side says what the code does."""

from enum import Enum
from pathlib import Path

from services.federation import page, protocol
from services.federation.schemas import DATA, Fault
from shared.messages.words import BridgeReason

PRINTED = Path(__file__).parents[2] / "docs" / "federation.md"


def test_the_page_is_printed():
    """docs/federation.md is what the code says."""
    assert PRINTED.read_text("utf-8") == page.page()


def test_everything_is_on_it():
    """Each type with its fields, each state, act, word, reason and refusal is named."""
    text = page.page()
    lists: list[type[Enum]] = [
        protocol.Sender, protocol.Receiver, protocol.Type, protocol.Act, protocol.Word, Fault, BridgeReason,
    ]  # fmt: skip
    names = {str(one.value) for some in lists for one in some}
    names |= {field for kind in DATA.values() for field in kind.__struct_fields__}

    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
    assert "<" not in text.replace("-->", "")
    rows = [line for line in text.splitlines() if line.startswith(("| sender |", "| receiver |"))]
    assert len(rows) == len(protocol.SENDS) + len(protocol.HEARS)

"""What a screen reader meets on a page: the browser's own tree, kept as text and compared.

Each line is a role and its name, indented as they lie within each other in `main`. Of rows only the
first stands there, of a choice how many there are. What is typed in a field is no part of it.
"""

import difflib
import os
from pathlib import Path

FOLDER = Path(__file__).parent / "read_out"
SILENT = {"generic", "none", "paragraph", "strong", "InlineTextBox", "LineBreak", "ListMarker"}
"""Roles that say nothing; what is in them is read out."""
WHOLE = {"link", "button", "heading", "columnheader", "rowheader", "option", "textbox", "searchbox"}
"""Roles whose name is all that is read out of them."""
NAMES_ANOTHER = {"Legend", "LabelText"}
MANY = {"row": "rows", "option": "options"}
STATES = ("checked", "disabled", "expanded", "invalid", "required", "level")


def tree(page):
    """Return the lines of what is read out in `main`."""
    session = page.context.new_cdp_session(page)
    nodes = {one["nodeId"]: one for one in session.send("Accessibility.getFullAXTree")["nodes"]}
    session.detach()
    (main,) = [one for one in nodes.values() if one["role"]["value"] == "main"]
    return _lines(nodes, main, 0)


def _lines(nodes, node, depth):
    role, name = node["role"]["value"], " ".join(node.get("name", {}).get("value", "").split())
    if role in NAMES_ANOTHER:
        return []
    said = not node["ignored"] and role not in SILENT and (role != "StaticText" or name)
    lines = []
    if said:
        found = {one["name"]: one["value"].get("value") for one in node.get("properties", ())}
        states = [f"{one}={found[one]}" for one in STATES if found.get(one) not in (None, False, "false")]
        # how the arrow of what is folded is called differs between versions of the browser
        called = "fold" if role.startswith("DisclosureTriangle") else role
        lines.append("  " * depth + " ".join([called, *([f'"{name}"'] if name else []), *states]))
    if said and role in WHOLE:
        return lines
    children = [nodes[one] for one in node.get("childIds", ()) if one in nodes]
    for kind, words in MANY.items():
        alike = [one for one in children if one["role"]["value"] == kind]
        if len(alike) > 1:
            children = [one for one in children if one not in alike[1:]]
            lines.append("  " * (depth + 1) + f"{len(alike)} {words}, the first:")
    for child in children:
        lines += _lines(nodes, child, depth + bool(said))
    return lines


def check(page, name):
    """Compare what is read out with what is kept under a name.

    Raises:
        AssertionError: It is not the same; it says what has changed, and how the new one is kept.

    """
    lines, file = tree(page), FOLDER / f"{name}.txt"
    if os.environ.get("READ_OUT") == "keep":
        FOLDER.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n", "utf-8")
    kept = file.read_text("utf-8").splitlines() if file.exists() else []
    changed = "\n".join(difflib.unified_diff(kept, lines, file.name, "now", lineterm=""))
    test = os.environ["PYTEST_CURRENT_TEST"].split(" ")[0]
    assert not changed, (
        f"{changed}\n\nIf that is meant, keep it: READ_OUT=keep .venv/bin/python -m pytest '{test}'"
    )

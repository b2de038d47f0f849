"""Whoever has pressed a button is told what has become of it: no page redirects in silence."""

import ast
from pathlib import Path

from tests.installation import ROOT

SHOWN = {
    "sign_in": "leads into the system",
    "sign_out": "leads out of it",
    "read_messages": "the messages stand there as read",
    "_go": "its callers say what was done, and the page of a bulk decision how far it is",
    "_after": "`act_on` says before what was done",
    "register_stay": "`_asked` says who is registered",
    "stop_bulk": "the page says that it was stopped",
    "batch": "the page says who was moved",
    "check": "the page says so itself (`done`)",
    "bridge_quarantine": "`_decide` says how many were done",
    "bridge_differences": "`_repair` says how many were done",
    "act_on_bridge": "`_send` says what was done",
    "start": "leads home who has left, where it says where the membership is",
    "board": "the page says how many (`urged`)",
}
"""Functions whose redirect leads to a page that shows the outcome itself."""


def test_what_was_done_is_said():
    """Each function that answers a form with a redirect leaves a notice.

    Unless the page that it leads to shows the outcome.
    """
    found, silent = set(), []
    for path in sorted((ROOT / "services" / "gateway" / "pages").glob("*.py")):
        for function in [
            one for one in ast.walk(ast.parse(Path(path).read_text())) if isinstance(one, ast.FunctionDef)
        ]:
            source = ast.unparse(function)
            posts = "'POST'" in source or "blueprint.post(" in source or function.name.startswith("_")
            if (
                posts
                and "redirect(" in source
                and function.name not in ("guard", "lead_here", "problem_page")
            ):
                found.add(function.name)
                if "say(" not in source and function.name not in SHOWN:
                    silent.append(f"{path.name}: {function.name}")
    assert len(found) >= 15 and not silent, silent
    assert set(SHOWN) <= found, set(SHOWN) - found

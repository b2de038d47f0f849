"""The desk at which somebody sits who plays the people of a simulated system: JSON and one plain page.

README.md describes it. A simulator gives it an object with the five methods of `Played`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

LARGEST = 64 * 1024  # bytes of a request
PAGE = """<!doctype html><html lang="zh"><meta charset="utf-8"><title>{system}</title>
<meta name="viewport" content="width=device-width">
<style>body {{ font: 1rem/1.5 sans-serif; margin: 1rem; color-scheme: light dark }}
table {{ border-collapse: collapse; margin: .5rem 0 }} td, th {{ border: 1px solid; padding: .2rem .5rem }}
div {{ overflow-x: auto }}</style>
<h1>{system} 模拟系统 · simulated system</h1>
<p>{state} <button data-path="{other}">{button}</button></p>
<h2>办件 · cases</h2>
<div><table><tr><th>subject<th>side<th>state<th>name<th>from<th>to<th>since<th>ended with<th></tr>{cases}
</table></div>
<h2>团员 · members</h2>
<p><label>转往 · to <input id="to" size="40" placeholder="代码或全称 · code or full name"></label>
<label>原因 · reason <input id="reason" size="12"></label></p>
<div><table><tr><th>member<th>name<th>organisation<th>state<th></tr>{members}</table></div>
<p id="said" role="status"></p>
<script>
document.addEventListener("click", async (event) => {{
  const button = event.target.closest("button");
  if (!button) return;
  const body = {{ ...button.dataset }};
  delete body.path;
  for (const name of ["to", "reason"]) {{
    if (button.dataset.path !== "offer" && name === "to") continue;
    const typed = document.getElementById(name).value.trim();
    if (typed) body[name] = typed;
  }}
  const answer = await fetch("/" + button.dataset.path,
    {{ method: "POST", headers: {{ "Content-Type": "application/json" }}, body: JSON.stringify(body) }});
  if (answer.ok) location.reload();
  else document.getElementById("said").textContent = await answer.text();
}});
</script>"""
CASE = ("subject", "side", "state", "name", "from", "to", "since", "ended_with")
MEMBER = ("member", "name", "organisation", "state")


class Cannot(Exception):
    """What was asked for is not done; `status` is that of HTTP, `code` one word."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Played(Protocol):
    """What a simulator lets somebody do; each method takes its own lock or transaction."""

    system: str
    paused: bool

    def cases(self) -> list[dict[str, Any]]:
        """Return the transfers of both sides, the newest first."""

    def members(self) -> list[dict[str, Any]]:
        """Return who is or was a member."""

    def decide(self, subject: str, decision: str, reason: str) -> None:
        """Do what `can` of the case names; raise Cannot where it does not."""

    def offer(self, member: str, to: str, reason: str) -> str:
        """Let a member leave; return the subject. Raise Cannot where there is none who may."""

    def pause(self, on: bool) -> None:
        """Go away, or come back."""


class Control(ThreadingHTTPServer):
    """The desk of one simulator, on this machine alone."""

    daemon_threads = True

    def __init__(self, port: int, played: Played) -> None:
        self.played = played
        super().__init__(("127.0.0.1", port), Handler)

    def open(self) -> Control:
        """Serve in a thread of its own; return itself."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Control

    def log_message(self, format: str, *said: Any) -> None:
        """Nothing of people is logged."""

    def do_GET(self) -> None:
        played = self.server.played
        paths: dict[str, Callable[[], Any]] = {
            "/": lambda: page(played),
            "/cases": lambda: {"system": played.system, "paused": played.paused, "cases": played.cases()},
            "/members": lambda: {"system": played.system, "members": played.members()},
        }
        self.answer(paths)

    def do_POST(self) -> None:
        played = self.server.played
        self.answer(
            {
                "/decide": lambda: decide(played, self.body()),
                "/offer": lambda: offer(played, self.body()),
                "/pause": lambda: pause(played, self.body(), True),
                "/resume": lambda: pause(played, self.body(), False),
            }
        )

    def answer(self, paths: dict[str, Callable[[], Any]]) -> None:
        status, said = 200, None
        try:
            # a page of somebody else in the same browser cannot send these
            if (self.headers.get("Host") or "").partition(":")[0] not in ("127.0.0.1", "localhost"):
                raise Cannot(403, "other_host")
            if self.command == "POST" and self.headers.get_content_type() != "application/json":
                raise Cannot(415, "no_json")
            if self.path not in paths:
                raise Cannot(404, "not_found")
            said = paths[self.path]()
        except Cannot as error:
            status, said = error.status, {"code": error.code}
            self.close_connection = True
        kind = "text/html" if isinstance(said, str) else "application/json"
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text.encode())

    def body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length") or "0"
        if not (length.isascii() and length.isdecimal() and int(length) <= LARGEST):
            raise Cannot(413, "too_large")
        try:
            said = json.loads(self.rfile.read(int(length)))
        except ValueError:
            raise Cannot(400, "no_json") from None
        if not isinstance(said, dict):
            raise Cannot(400, "no_object")
        return said


def text(said: dict[str, Any], name: str, otherwise: str | None = None) -> str:
    """Return a field that is to be a text."""
    value = said.get(name, otherwise)
    if not isinstance(value, str) or (otherwise is None and not value):
        raise Cannot(422, f"wrong_{name}")
    return value


def decide(played: Played, said: dict[str, Any]) -> dict[str, Any]:
    played.decide(text(said, "subject"), text(said, "decision"), text(said, "reason", ""))
    return {"done": True}


def offer(played: Played, said: dict[str, Any]) -> dict[str, Any]:
    return {"subject": played.offer(text(said, "member"), text(said, "to"), text(said, "reason", ""))}


def pause(played: Played, said: dict[str, Any], on: bool) -> dict[str, Any]:
    played.pause(on)
    return {"paused": on}


def page(played: Played) -> str:
    """Return the page for whoever plays the people."""
    other, button = ("resume", "恢复 · resume") if played.paused else ("pause", "暂停 · pause")
    return PAGE.format(
        system=escape(played.system),
        state="暂停中 · away" if played.paused else "运行中 · running",
        other=other,
        button=button,
        cases="".join(map(_case, played.cases())),
        members="".join(map(_member, played.members())),
    )


def _cells(row: dict[str, Any], names: tuple[str, ...]) -> str:
    return "".join(f"<td>{escape(str(row.get(name) or ''))}" for name in names)


def _case(row: dict[str, Any]) -> str:
    buttons = "".join(
        f'<button data-path="decide" data-subject="{escape(row["subject"])}" data-decision="{escape(one)}">'
        f"{escape(one)}</button> "
        for one in row["can"]
    )
    return f"<tr>{_cells(row, CASE)}<td>{buttons}</tr>\n"


def _member(row: dict[str, Any]) -> str:
    button = f'<button data-path="offer" data-member="{escape(row["member"])}">offer</button>'
    return f"<tr>{_cells(row, MEMBER)}<td>{button if row['state'] == 'active' else ''}</tr>\n"

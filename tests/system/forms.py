"""Forms of a page as a browser sees them: fields, submit buttons, what a press of Enter does."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"input", "meta", "link", "img", "br", "hr", "rect"}


@dataclass
class Form:
    """One form: where it goes, its fields in order, its submit buttons in order."""

    action: str
    method: str
    fields: list[tuple[str, str, str, dict]] = field(default_factory=list)
    """Name, value, type, all attributes; of radio buttons and boxes each one."""
    buttons: list[dict] = field(default_factory=list)
    options: dict[str, list[str]] = field(default_factory=dict)

    @property
    def typed(self) -> list[str]:
        """Names of the fields in which Enter sends the form (and boxes, in which it does so, too)."""
        return [
            name for name, _, kind, _ in self.fields if kind not in ("hidden", "select", "textarea", "file")
        ]

    @property
    def entered(self) -> dict | None:
        """The button that Enter presses: the first, unless it is disabled; None where Enter does nothing."""
        first = self.buttons[0] if self.buttons else None
        return None if first is None or "disabled" in first else first

    def filled(self) -> dict[str, object]:
        """What a browser would send of it without a button.

        Hidden and preset values, the first radio button of each name, all boxes.
        """
        sent: dict[str, object] = {}
        for name, value, kind, _ in self.fields:
            if kind == "checkbox" or kind == "radio":
                sent.setdefault(name, value)
            elif kind == "select":
                sent[name] = (self.options.get(name) or [""])[0]
            elif kind != "file":
                sent[name] = value
        return sent


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.form: Form | None = None
        self.select = ""
        self.written: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "form":
            self.form = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms.append(self.form)
        elif self.form is not None:
            self._inside(tag, given)

    def _inside(self, tag: str, given: dict[str, str]) -> None:
        assert self.form is not None
        if (tag == "button" and given.get("type", "submit") == "submit") or (
            tag == "input" and given.get("type") == "submit"
        ):
            self.form.buttons.append(given)
        elif tag in ("input", "textarea") and given.get("name"):
            self.form.fields.append(
                (
                    given["name"],
                    given.get("value", "on" if given.get("type") in ("checkbox", "radio") else ""),
                    given.get("type", "text") if tag == "input" else "textarea",
                    given,
                )
            )
            self.written = [] if tag == "textarea" else None
        elif tag == "select":
            self.select = given.get("name", "")
            self.form.fields.append((self.select, "", "select", given))
        elif tag == "option" and self.select:
            self.form.options.setdefault(self.select, []).append(given.get("value", ""))

    def handle_data(self, data: str) -> None:
        if self.written is not None:
            self.written.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self.written is not None and self.form is not None:
            name, _, kind, given = self.form.fields[-1]
            self.form.fields[-1] = (name, "".join(self.written).removeprefix("\n"), kind, given)
            self.written = None
        if tag == "form":
            self.form = None
        elif tag == "select":
            self.select = ""


def read(page: str) -> tuple[list[Form], list[str]]:
    """Return the forms and the links of a page."""
    reader = _Reader()
    reader.feed(page)
    return reader.forms, reader.links

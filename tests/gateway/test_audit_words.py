"""The page of the audit log has words for whatever the services write into their logs (BEY-10)."""

import ast
from pathlib import Path

import pytest
from flask import Flask, session

from services.gateway.api.routes import ROUTES
from services.gateway.kit import language
from services.gateway.pages import audit_words
from services.members.log import KEPT
from services.orgs.log import STATE
from shared.messages.audit import AuditLine
from shared.translations import english
from tests.installation import ROOT

SOURCES = [
    path
    for name in ("orgs", "members", "transfers", "federation")
    for path in (ROOT / "services" / name).rglob("*.py")
    if "migrations" not in path.parts
]


def literal(node) -> str:
    """Return the text of a string, of an f-string what stands before its first value."""
    first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else node
    return first.value.strip() if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def entries():
    """Yield the named arguments of each line of a log that the sources of the services write."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(Path(path).read_text())):
            if (
                isinstance(node, ast.Call)
                and (getattr(node.func, "id", "") or getattr(node.func, "attr", "")) == "Entry"
            ):
                yield {one.arg: one.value for one in node.keywords if one.arg}


def test_every_field_has_words():
    """Whatever a service keeps before and after a change has words in both languages.

    So has whatever a line refers to.
    """
    written = list(entries())
    assert len(written) > 30
    names = {
        literal(key)
        for one in written
        for side in ("before", "after")
        if isinstance(one.get(side), ast.Dict)
        for key in one[side].keys
    }
    assert {"from", "to", "post", "digest", "addressee"} <= names
    edits = {
        "ethnic_group",
        "joined_on",
        "development_number",
        "phone",
        "contact",
        "emergency",
    }  # columns of an edit, the sealed ones without their ending
    missing = {*names, *STATE, *KEPT, *edits, "checked"} - {*audit_words.FIELDS}
    assert not missing, missing
    referred = {literal(one["ref"]) for one in written if "ref" in one} - {""}
    assert {"migration", "bulk", "registration", "bridge"} <= referred
    assert not referred - {*audit_words.REFERENCES}, referred
    assert all(
        zh and english(zh) != zh for zh in (*audit_words.FIELDS.values(), *audit_words.REFERENCES.values())
    )


def line(kind, before=None, after=None, ref=""):
    """Return a line of a log."""
    return AuditLine(
        service="orgs",
        lane=1,
        seq=1,
        at=None,
        kind=kind,
        person_id=1,
        org_id=1,
        place_id=1,
        persons=[],
        ref=ref,
        before=before,
        after=after,
        note="",
        request_id="",
        cursor="",
    )


@pytest.fixture
def speak():
    """Say something in a language, as within a request."""
    app = Flask("words")
    app.secret_key = "x"
    language.prepare(app)

    def said(chosen, act):
        with app.test_request_context("/"):
            session["language"] = chosen
            return act()

    return said


@pytest.mark.parametrize(
    ("language", "name", "was", "now"),
    [("zh", "用途", "普通", "毕业生团组织"), ("en", "Purpose", "Ordinary", "Graduates' organisation")],
)
def test_changes_are_said(speak, language, name, was, now):
    """Only what differs is said; codes, yes and no, organisations and instants are words of the language."""
    changed = line(
        "org.graduated",
        '{"purpose": "ordinary", "kind": "branch"}',
        '{"purpose": "graduate", "kind": "branch"}',
    )
    assert speak(language, lambda: audit_words.changes(changed, {})) == [(name, was, now)]


def test_values_are_said(speak):
    """Values are words, too.

    Rights, organisations by name, instants of a policy, what the log does not keep.
    """

    def said(*of, orgs=None):
        return speak("zh", lambda: audit_words.changes(line(*of), orgs or {}))

    assert said("right.given", None, '{"active": true, "observer": false}') == [
        ("有管理权限", None, "是"),
        ("仅可查看", None, "否"),
    ]
    named = type("Org", (), {"full_name": "共青团甲委员会"})
    assert said("migration.requested", None, '{"from": 7, "to": 8}', orgs={7: named}) == [
        ("原上级", None, "共青团甲委员会"),
        ("新上级", None, "8"),
    ]
    assert said("policy.applied", None, '{"policy": "p002", "from": "2026-07-01T00:00:00+08:00"}')[1] == (
        "生效时间",
        None,
        "2026-07-01 00:00",
    )
    assert said("member.edited", None, '{"phone": "changed", "party": null}') == [
        ("电话", None, "已变更(内容不入日志)"),
        ("是党员", None, "无"),
    ]
    assert said("view.searched", None, '{"by": "id_number", "found": 2}') == [
        ("查询方式", None, "身份证号码"),
        ("找到人数", None, "2"),
    ]
    assert said("bulk.started", None, '{"state": "pending_in", "reason": "not_here"}') == [
        ("状态", None, "转入组织审批"),
        ("驳回原因", None, "不在本地居住或工作"),
    ]


def test_references_are_said(speak):
    """A reference is words and its number.

    A file is named as its list is; what nobody knows stands as it is.
    """
    said = {
        ref: speak("zh", lambda ref=ref: audit_words.reference(ref))
        for ref in (
            "migration 3",
            "registration code",
            "/audit",
            "/api/v1/orgs/42/cadres",
            "/api/v1/x",
            "x y",
        )
    }
    assert said == {
        "migration 3": ("组织迁移", "3"),
        "registration code": ("凭注册码", ""),
        "/audit": ("操作日志", ""),
        "/api/v1/orgs/42/cadres": ("团干部列表", ""),
        "/api/v1/x": ("", "/api/v1/x"),
        "x y": ("", "x y"),
    }
    assert any(route.path == "/orgs/<int:org_id>/cadres" for route in ROUTES)

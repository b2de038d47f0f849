"""The words of the pages are those of the rules, and the menu's pages exist."""

import pytest

from services.gateway import app as gateway_app
from services.gateway.pages import kit, menu, words
from services.gateway.pages.transfers import PLANS
from services.orgs import domain
from services.transfers import reasons, saga
from services.transfers.adviser import rules as adviser
from services.transfers.notices import rules as notices


def test_reasons_and_classes():
    """Reasons, rejections, states, steps and classes of destinations are those of the transfers service.

    On pages they stand in exactly the same Chinese words.
    """
    assert {code: zh for code, (zh, _) in words.REASONS.items()} == {
        code: reason.zh for code, reason in reasons.reasons().items()
    }
    assert set(words.REJECTIONS) == set(reasons.REJECTION_REASONS) and set(words.CONCERNS) == set(
        reasons.CLASSES
    )
    assert {code: zh for code, (zh, _) in words.CONCERNS.items()} == {
        code: zh for code, (zh, _) in reasons.CLASSES.items()
    }
    assert set(words.STATES) == set(saga.State)
    assert set(notices.KINDS) <= set(words.STEPS)
    assert {plan.removesuffix("_without") for plan in adviser.PLANS} == set(PLANS)
    assert set(words.PURPOSES) == {*domain.PURPOSES, "graduate", "awaiting", "vault"}


@pytest.mark.rule("UI-09", "UI-10", "UI-11", "UI-12", "UI-13")
def test_the_menu_leads_somewhere():
    """UI-09..13: every entry of the menu is a page, in one section, with a name in both languages.

    Those that the rules name are there, as far as there are pages.
    """
    from flask import Flask

    assert gateway_app.kit is kit  # every module with pages is loaded
    app = Flask("menu")
    app.register_blueprint(kit.blueprint)
    known = {str(rule) for rule in app.url_map.iter_rules()}
    entries = [entry for section in menu.MENU for entry in section.entries]
    assert {entry.path for entry in entries} <= known and len({entry.path for entry in entries}) == len(
        entries
    )
    named = {(section.zh, entry.zh) for section in menu.MENU for entry in section.entries}
    assert {
        ("业务办理", "组织关系转接审批"),
        ("业务办理", "办理转出"),
        ("业务办理", "办理转入"),
        ("业务办理", "批量转接"),
        ("组织管理", "管理下级组织"),
        ("操作中心", "组织迁移"),
        ("团员管理", "团员列表"),
        ("组织管理", "团干部与管理员"),
        ("统计", "录入进度"),
    } <= named
    assert (
        all(entry.zh and entry.en for entry in entries)
        and menu.section("/work") is menu.MENU[1]
        and menu.section("/nowhere") is None
    )

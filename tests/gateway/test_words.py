"""The words of the pages are those of the rules, and the menu's pages exist."""

import pytest

from services.gateway import app as gateway_app
from services.gateway import kit
from services.gateway.kit import capabilities as menu
from services.transfers import saga
from services.transfers.adviser import rules as adviser
from services.transfers.figures.rules import FIGURES
from services.transfers.notices import rules as notices
from shared.messages import words
from shared.messages.words import Code
from shared.translations import english


def test_codes_of_services_have_words():
    """What the transfers service goes through, tells and advises are codes that have words."""
    assert saga.State is words.TransferState
    assert set(notices.KINDS) <= set(words.TrailEvent)
    assert {plan.removesuffix("_without") for plan in adviser.PLANS} == set(words.Plan)
    assert tuple(words.Figure) == FIGURES


@pytest.mark.parametrize("codes", Code.__subclasses__(), ids=lambda codes: codes.__name__)
def test_every_code_has_words_in_both_languages(codes):
    """Each code has its own words in Chinese and in English, and is known by its text alone."""
    said = list(codes)
    assert all(one.zh and one.en and one.zh != one.en for one in said), said
    assert len({one.zh for one in said}) == len({one.en for one in said}) == len(said)
    assert all(codes(str(one)) is one and codes.known(str(one)) is one for one in said)
    assert codes.known("of another version") is None and codes.known("") is None


def test_a_transfer_stands_behind_the_list_of_them():
    """UI-05: the page of a transfer says of an office where in its menu it stands."""
    assert menu.entry("/transfers/7").path == menu.entry("/list").path == "/list"
    assert menu.section("/transfers/7").zh == "业务办理" and menu.entry("/transfersome") is None


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
        all(entry.zh and english(entry.zh) != entry.zh for entry in entries)
        and menu.section("/work") is menu.MENU[1]
        and menu.section("/nowhere") is None
    )

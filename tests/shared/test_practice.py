"""Settings on which the documents differ: presets, dated entries, scopes."""

import os
import tomllib
from datetime import date

import pytest

from shared import practice as practices
from shared.practice import Practice
from shared.settings import Environment, Wrong
from tests.installation import ROOT

DAY = date(2026, 9, 15)


@pytest.fixture
def installed(tmp_path):
    """Write the entries of an installation; return their file."""

    def write(text: str):
        file = tmp_path / f"practice{len(list(tmp_path.iterdir()))}.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def said(**names: str) -> Practice:
    """Return the practice of an installation whose environment says this."""
    return practices.from_environment(Environment(names))


@pytest.mark.rule("ACC-04", "REG-04", "GRAD-26", "ORG-28", "ORG-29", "MEM-19", "GRAD-22", "DEL-03")
@pytest.mark.parametrize(
    "preset, expected",
    [
        (
            "national",
            {
                "initial_password_tail": 8,
                "county_temp_max_stay_months": 0,
                "township_branch_label": "流动团员团支部",
                "member_delete_min_level": "county",
            },
        ),
        (
            "p000",
            {
                "initial_password_tail": 6,
                "retention_mark_from": "07-31",
                "township_branch_label": "学社衔接临时团支部",
                "delayed_destination": "delayed",
                "reset_code_levels": 0,
            },
        ),
        (
            "p001",
            {
                "initial_password_tail": 8,
                "retention_mark_from": "",
                "member_delete_min_level": "province",
                "delayed_destination": "none",
                "delete_nonempty_branch": "forbid",
            },
        ),
        ("p002", {"county_temp_max_stay_months": 12, "township_branch_label": "流动团员团支部"}),
        ("p003", {"township_branch_label": "流动团支部"}),
        ("p004", {"delayed_destination": "ordinary,floating", "retention_school_types": []}),
    ],
)
def test_presets(preset, expected):
    """ACC-04, REG-04, GRAD-22, GRAD-26, ORG-28, ORG-29, MEM-19, DEL-03: presets say what the catalogue says.

    There is one preset for each document; it says what the catalogue's table says, and inherits the
    rest.
    """
    practice = said(TUANQIAO_POLICY=preset)
    assert {name: practice.value(name, DAY) for name in expected} == expected
    assert practice.number("retention_months", DAY) == 6


@pytest.mark.rule("REG-04")
@pytest.mark.parametrize("preset", sorted(practices.PRESETS))
def test_registrations_wait_as_long_as_nodes(preset):
    """REG-04: a self-registration waits as long as an approval node of the same preset's policy."""
    policy = tomllib.loads(
        (ROOT / "services" / "transfers" / "policies" / f"{preset}.toml").read_text("utf-8")
    )
    days = {**practices.NATIONAL, **practices.PRESETS[preset]}["registration_days"]
    assert policy["node"]["pending_in"]["expire_after_days"] == days


def test_presets_hold_known_settings():
    """A preset says nothing that the national one does not know, and nothing of another kind."""
    for values in practices.PRESETS.values():
        for name, value in values.items():
            assert not practices._problem(name, value)


def test_the_narrowest_scope_then_the_latest_day(installed):
    """A school before its province before the nation; in each scope the latest day that has come."""
    file = installed("""
        [[from]]
        day = 2026-01-01
        retention_months = 5
        [[from]]
        day = 2026-06-01
        retention_months = 4
        [[from]]
        day = 2026-02-01
        province = "42"
        retention_months = 3
        [[from]]
        day = 2026-03-01
        org = 420
        retention_months = 2
        [[from]]
        day = 2026-10-01
        org = 420
        retention_months = 1
    """)
    practice = Practice(file)

    def months(day, *place):
        return practice.number("retention_months", day, *place)

    assert [months(date(2025, 12, 31)), months(date(2026, 1, 1)), months(DAY)] == [6, 5, 4]
    assert (months(DAY, "42", "1.42."), months(DAY, "43", "1.43.")) == (3, 4)
    assert months(DAY, "42", "1.42.420.7.") == 2
    assert months(DAY, "42", "1.42.4201.") == 3, "4201 begins like 420 and is another"
    assert months(date(2026, 10, 1), "42", "1.42.420.") == 1
    assert practice.by_province("retention_months", DAY) == {"": 4, "42": 3}


def test_an_entry_goes_before_the_environment_and_that_before_the_preset(installed):
    """The order: a dated entry, the environment, the preset."""
    names = {"TUANQIAO_POLICY": "p000"}
    practice = said(**names)
    assert practice.month_and_day("retention_mark_from", DAY) == (7, 31)
    names["TUANQIAO_RETENTION_FROM"] = "08-15"
    practice = said(**names)
    assert practice.month_and_day("retention_mark_from", DAY) == (8, 15)
    file = installed('[[from]]\nday = 2026-09-01\npreset = "p001"\nretention_months = 7')
    names["TUANQIAO_PRACTICE"] = str(file)
    practice = said(**names)
    assert practice.month_and_day("retention_mark_from", DAY) is None
    assert practice.number("retention_months", DAY) == 7
    assert practice.text("member_delete_min_level", DAY) == "province"
    names["TUANQIAO_MEMBER_MARK_BY_BRANCH"] = "false"
    practice = said(**names)
    assert practice.value("member_mark_by_branch_admin", date(2026, 8, 31)) is False


@pytest.mark.parametrize(
    "text, problem",
    [
        ("[[from]]\nretention_months = 1", "entry 1: day is missing"),
        ('[[from]]\nday = 2026-01-01\npreset = "p9"', "no preset p9"),
        (
            "[[from]]\nday = 2026-01-01\n[[from]]\nday = 2026-01-01\nretention = 1",
            "entry 2: there is no setting retention",
        ),
        ('[[from]]\nday = 2026-01-01\nretention_months = "six"', "retention_months needs a value such as 6"),
        ("[[from]]\nday = 2026-01-01\nretention_months = -1", "not below 0"),
        ('[[from]]\nday = 2026-01-01\nmember_delete_min_level = "village"', "one of county, city, province"),
    ],
)
def test_what_is_wrong_is_named(installed, text, problem):
    """An entry that does not fit is named with its number and what is wrong."""
    file = installed(text)
    with pytest.raises(ValueError, match=problem):
        Practice(file).entries()
    with pytest.raises(Wrong, match=f"TUANQIAO_PRACTICE: .*{problem}"):
        said(TUANQIAO_PRACTICE=str(file))


def test_a_change_holds_at_once_and_a_wrong_one_never(installed):
    """A changed file is read again; one that is broken while the service runs leaves what held before."""
    file = installed("[[from]]\nday = 2026-01-01\nretention_months = 5")
    practice = Practice(file)
    assert practice.number("retention_months", DAY) == 5
    for text, months in (
        ("[[from]]\nday = 2026-01-01\nretention_months = 4", 4),
        ("[[from]]\nday = 2026-", 4),
    ):
        file.write_text(text)
        # Two writes may fall into one tick of the clock; the time of the file has to differ.
        os.utime(file, ns=(0, file.stat().st_mtime_ns + 10**9 * (months + len(text))))
        assert practice.number("retention_months", DAY) == months

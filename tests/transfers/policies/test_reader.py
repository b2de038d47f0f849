"""Policies without a database.

One file with every entry, every mistake with its whole sentence, the parts of the year as instants.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from services.transfers.policies import calendar, reader
from services.transfers.policies.reader import NodePolicy, Phase, Policy, Target
from services.transfers.saga import State
from shared import clock

WHOLE = """version = "9"
source = "DL-01"
withdraw_until = "first_decision"
excluded_reasons = ["abroad_study", "special_unit"]
youth_centres = true
member_may_withdraw_any = false
spu_origin_node = false
fed_withdraw = true
enforce_window = true
unknown_counts = false

[node.pending_out]
remind_after_days = 3
remind_every_days = 2
expire_after_days = 8
on_expiry = "return"

[node.pending_in]
remind_after_days = 4
expire_after_days = 9.5
on_expiry = "approve"

[node.pending_province]
remind_after_days = 5
expire_after_days = 12
on_expiry = "approve"

[node.pending_assign]
remind_after_days = 6
remind_every_days = 7

[node.pending_remote]
remind_after_days = 8
expire_after_days = 11
on_expiry = "return"

[node.pending_handover]
remind_after_days = 2
remind_every_days = 1

[window]
from = "11-01"
to = "02-29"

[bounds]
expire_after_days = [7, 30]
remind_after_days = [1, 2]

[province.65.node.pending_in]
expire_after_days = 30
remind_after_days = 1

[[phase]]
name = "late"
from = "10-01"
to = "04-30"
withdraw_until = "completed"

[[phase]]
name = "early"
from = "05-01"
to = "09-30"
clock = false

[[target]]
by = "08-31"
what = "started"
reasons = "XS"
share = 0.25
rule = "DL-15"

[[target]]
by = "12-31"
what = "completed"
reasons = "SX"

[destination.unemployed]
township = "warn"
school = "forbid"
"""
NODES = {
    State.OUT: NodePolicy(3, 2, 8, "return"),
    State.IN: NodePolicy(4, None, 9.5, "approve"),
    State.PROVINCE: NodePolicy(5, None, 12, "approve"),
    State.ASSIGN: NodePolicy(6, 7, None, "remind"),
    State.REMOTE: NodePolicy(8, None, 11, "return"),
    State.HANDOVER: NodePolicy(2, 1, None, "remind"),
    State.ARRIVAL: NodePolicy(7, 7, None, "remind"),
}
EARLY = Phase("early", (5, 1), (9, 30), False, "first_decision")
LATE = Phase("late", (10, 1), (4, 30), True, "completed")


def line_of(text, part):
    """Return the number of the line that a part stands in."""
    return text[: text.index(part)].count("\n") + 1


def problems(text):
    """Return what is said of a policy, nothing if it holds."""
    try:
        reader.parse(text, "own")
    except reader.PolicyError as error:
        return error.problems
    return []


@pytest.mark.rule("BEY-07")
def test_every_entry_is_read():
    """BEY-07: what a file says is what the policy is, entry by entry."""
    assert reader.parse(WHOLE, "own") == Policy(
        name="own",
        version="9",
        source="DL-01",
        nodes=NODES,
        provinces={"65": {**NODES, State.IN: NodePolicy(1, None, 30, "approve")}},
        phases=(EARLY, LATE),
        window=((11, 1), (2, 29)),
        enforce_window=True,
        destinations={"unemployed": {"township": "warn", "school": "forbid"}},
        youth_centres=True,
        withdraw_until="first_decision",
        member_may_withdraw_any=False,
        spu_origin_node=False,
        fed_withdraw=True,
        excluded_reasons=("abroad_study", "special_unit"),
        unknown_counts=False,
        targets=(
            Target((8, 31), "started", "XS", 0.25, "DL-15"),
            Target((12, 31), "completed", "SX", 1.0, ""),
        ),
        body=WHOLE,
    )


@pytest.mark.rule("BEY-07")
def test_what_is_left_out():
    """BEY-07: a file of nodes alone has these defaults and no parts of the year."""
    text = WHOLE[: WHOLE.index("[window]")].replace(
        WHOLE[WHOLE.index("withdraw_until") : WHOLE.index("[node.pending_out]")], ""
    )
    assert reader.parse(text, "own") == Policy(
        name="own",
        version="9",
        source="DL-01",
        nodes=NODES,
        provinces={},
        phases=(),
        window=None,
        enforce_window=False,
        destinations={},
        youth_centres=False,
        withdraw_until="last_approval",
        member_may_withdraw_any=True,
        spu_origin_node=True,
        fed_withdraw=False,
        excluded_reasons=("abroad_study",),
        unknown_counts=True,
        targets=(),
        body=text,
    )


MISTAKES = [
    # what stands in WHOLE, what instead, in which line of the changed file, the whole sentence
    ('version = "9"', 'version = " "', 'version = " "', "version is missing"),
    ('source = "DL-01"\n', "", 'version = "9"', "source is missing"),
    (
        "youth_centres = true",
        "youth_centres = 1",
        "youth_centres",
        "youth_centres is 1; it must be true or false",
    ),
    ('"special_unit"', '"holiday"', "excluded_reasons", "holiday is not a reason of reasons.toml"),
    (
        "remind_after_days = 3",
        "remind_after_days = 0",
        "remind_after_days = 0",
        "remind_after_days is 0; it must be a number of days, more than 0 and at most 3650",
    ),
    (
        "remind_every_days = 2",
        "remind_every_days = 3651",
        "remind_every_days = 3651",
        "remind_every_days is 3651; it must be a number of days, more than 0 and at most 3650",
    ),
    (
        "expire_after_days = 8",
        "expire_after_days = true",
        "expire_after_days = true",
        "expire_after_days is True; it must be a number of days, more than 0 and at most 3650",
    ),
    (
        "remind_after_days = 3",
        "remind_after_days = 8",
        "remind_after_days = 8",
        "the first reminder would come with or after the deadline",
    ),
    (
        'expire_after_days = 12\non_expiry = "approve"',
        'expire_after_days = 12\non_expiry = "return"',
        'on_expiry = "return"\n\n[node.pending_assign]',
        "a provincial node is approved or only reminded by the clock, never returned (DL-09)",
    ),
    (
        "remind_every_days = 7",
        'remind_every_days = 7\nexpire_after_days = 8\non_expiry = "approve"',
        'on_expiry = "approve"\n\n[node.pending_remote]',
        "the clock never assigns a branch (ASG-04)",
    ),
    (
        'expire_after_days = 11\non_expiry = "return"',
        'expire_after_days = 11\non_expiry = "approve"',
        'on_expiry = "approve"\n\n[node.pending_handover]',
        "the clock never decides in another system's name (DL-08, FED-08)",
    ),
    (
        "remind_every_days = 1\n",
        'remind_every_days = 1\nexpire_after_days = 3\non_expiry = "return"\n',
        'on_expiry = "return"\n\n[window]',
        "a hand-over is only reminded of: who ends it is the peer (FED-11)",
    ),
    (
        'from = "11-01"',
        'from = "13-01"',
        'from = "13-01"',
        "from is '13-01'; it must be a day of the year such as \"05-01\"",
    ),
    (
        'to = "02-29"',
        'to = "02-30"',
        'to = "02-30"',
        "to is '02-30'; it must be a day of the year such as \"05-01\"",
    ),
    (
        'to = "02-29"',
        'to = "2-29"',
        'to = "2-29"',
        "to is '2-29'; it must be a day of the year such as \"05-01\"",
    ),
    (
        "[7, 30]",
        "[7, 30, 31]",
        "expire_after_days = [7, 30, 31]",
        "expire_after_days is [7, 30, 31]; it must be the least and the greatest number of days",
    ),
    (
        "[7, 30]",
        "[31, 30]",
        "expire_after_days = [31, 30]",
        "expire_after_days is [31, 30]; it must be the least and the greatest number of days",
    ),
    (
        "[7, 30]",
        "[0, 30]",
        "expire_after_days = [0, 30]",
        "expire_after_days is [0, 30]; it must be the least and the greatest number of days",
    ),
    (
        "[7, 30]",
        '["a", 30]',
        'expire_after_days = ["a"',
        "expire_after_days is ['a', 30]; it must be the least and the greatest number of days",
    ),
    (
        "[bounds]\n",
        "[bounds]\non_expiry = [1, 2]\n",
        "on_expiry = [1, 2]",
        "on_expiry is not an entry of the bounds;"
        " known: remind_after_days, remind_every_days, expire_after_days",
    ),
    (
        "expire_after_days = 30",
        "expire_after_days = 31",
        "expire_after_days = 31",
        "expire_after_days is 31; the national bounds are 7 to 30",
    ),
    (
        "expire_after_days = 30",
        "expire_after_days = 6",
        "expire_after_days = 6\n",
        "expire_after_days is 6; the national bounds are 7 to 30",
    ),
    (
        "expire_after_days = 30\n",
        "expire_after_days = 30\nremind_every_days = 2\n",
        "remind_every_days = 2\nremind_after_days = 1",
        "no bounds are set for remind_every_days, so no province may change it",
    ),
    (
        "[province.65.node.pending_in]\nexpire_after_days = 30\nremind_after_days = 1\n",
        "[province.65]\n",
        "[province.65]",
        "[province.65] changes no node",
    ),
    (
        "[province.65.node.pending_in]",
        "[province.65]\nname = 1\n[province.65.node.pending_in]",
        "name = 1",
        "name is not an entry of a province; known: node",
    ),
    (
        "[province.65.",
        "[province.60.",
        "[province.60.",
        "60 is no province; give the first two digits of its division code",
    ),
    (
        'name = "late"',
        'name = "late"\nclocks = true',
        "clocks = true",
        "clocks is not an entry of a phase; known: name, from, to, clock, withdraw_until",
    ),
    ("clock = false", "clock = 0", "clock = 0", "clock is 0; it must be true or false"),
    ("share = 0.25", "share = 0", "share = 0", "share is 0; it must be more than 0 and at most 1"),
    ("share = 0.25", "share = 1.01", "share = 1.01", "share is 1.01; it must be more than 0 and at most 1"),
    ("share = 0.25", "share = true", "share = true", "share is True; it must be more than 0 and at most 1"),
    ("share = 0.25", 'share = "x"', 'share = "x"', "share is 'x'; it must be more than 0 and at most 1"),
    (
        'what = "started"',
        'what = "begun"',
        'what = "begun"',
        "what is 'begun'; it must be one of started, completed",
    ),
    ('reasons = "XS"', 'reasons = "YS"', 'reasons = "YS"', "reasons is 'YS'; it must be one of SX, XS"),
    (
        'rule = "DL-15"',
        'rules = "DL-15"',
        'rules = "DL-15"',
        "rules is not an entry of a target; known: by, what, reasons, share, rule",
    ),
    (
        "[destination.unemployed]",
        "[destination.holiday]",
        "[destination.holiday]",
        "holiday is not a reason of reasons.toml",
    ),
    (
        'school = "forbid"',
        'school = "no"',
        'school = "no"',
        "school is 'no'; it must be one of forbid, warn, allow",
    ),
]


@pytest.mark.rule("BEY-07", "ASG-04", "DL-09")
@pytest.mark.parametrize(("old", "new", "place", "sentence"), MISTAKES)
def test_each_mistake_is_named(old, new, place, sentence):
    """BEY-07: one mistake gives one sentence, with the line that it stands in.

    ASG-04, DL-09: a clock that would assign, or return at a province, is a mistake.
    """
    assert old in WHOLE
    text = WHOLE.replace(old, new, 1)
    assert problems(text) == [f"own.toml line {line_of(text, place)}: {sentence}"]


@pytest.mark.rule("BEY-07")
def test_limits_are_inside():
    """BEY-07: the least and the greatest values that are allowed hold."""
    for old, new in (
        ("remind_every_days = 2", "remind_every_days = 3650"),
        ("share = 0.25", "share = 1"),
        ("[7, 30]", "[30, 30]"),
        ("[1, 2]", "[0.5, 2]"),
        ("expire_after_days = 30", "expire_after_days = 7"),
        ("remind_after_days = 3", "remind_after_days = 7.9"),
    ):
        assert old in WHOLE
        assert problems(WHOLE.replace(old, new, 1)) == [], new


@pytest.mark.rule("BEY-07")
def test_syntax_and_names(tmp_path):
    """BEY-07: what is no TOML is said with the reader's own place.

    A policy is called like its file, and those of the folder are known.
    """
    (only,) = problems(WHOLE + "[[[")
    assert only.startswith("own.toml: ") and "line" in only
    assert reader.known() == ["national", "p000", "p001", "p002", "p003", "p004"]
    with pytest.raises(ValueError, match="there is no policy 'nothing'; known: national, p000"):
        reader.read("nothing")
    file = tmp_path / "some.toml"
    file.write_text(WHOLE, "utf-8")
    assert reader.load(file).key == "some@9"


@pytest.mark.rule("BEY-07", "DL-11")
@pytest.mark.parametrize(
    ("begins", "ends", "sentence"),
    [
        ("10-01", "04-29", "phase 'early' leaves a gap after 'late': it must begin on 04-30"),
        ("10-01", "05-01", "phase 'early' overlaps 'late': it must begin on 05-02"),
        ("10-02", "04-30", "phase 'late' leaves a gap after 'early': it must begin on 10-01"),
        ("09-30", "04-30", "phase 'late' overlaps 'early': it must begin on 10-01"),
    ],
)
def test_the_year_is_covered(begins, ends, sentence):
    """BEY-07, DL-11: the parts of the year follow one another without a gap and without overlapping.

    That holds over the turn of the year, too.
    """
    text = WHOLE.replace('from = "10-01"\nto = "04-30"', f'from = "{begins}"\nto = "{ends}"')
    (only,) = problems(text)
    assert only.endswith(sentence)
    # The line is that of the phase that is wrong, which the sentence names first.
    if sentence.startswith("phase 'early' "):
        wrong = 'from = "05-01"'
    else:
        wrong = f'from = "{begins}"'
    assert f"line {line_of(text, wrong)}:" in only


@pytest.mark.rule("DL-11")
def test_one_part_is_the_whole_year():
    """DL-11: a single part runs from any day to the day before it."""
    alone = WHOLE[: WHOLE.index("[[phase]]")] + '[[phase]]\nname = "all"\nfrom = "03-01"\nto = "{to}"\n'
    assert problems(alone.format(to="02-29")) == []
    assert problems(alone.format(to="02-28"))[0].endswith("a single phase must cover the whole year")


@pytest.mark.rule("BEY-07")
def test_every_difference_is_shown():
    """BEY-07: two policies that differ in everything are compared under the names of the file.

    Old comes before new, and none stands where one has nothing.
    """
    bare = reader.parse(
        WHOLE[: WHOLE.index("[window]")]
        .replace(WHOLE[WHOLE.index("withdraw_until") : WHOLE.index("[node.pending_out]")], "")
        .replace('version = "9"', 'version = "8"'),
        "own",
    )
    lines = reader.differences(bare, reader.parse(WHOLE, "own"))
    assert lines == [
        "version: 8 -> 9",
        "youth_centres: False -> True",
        "member_may_withdraw_any: True -> False",
        "spu_origin_node: True -> False",
        "enforce_window: False -> True",
        "unknown_counts: True -> False",
        "fed_withdraw: False -> True",
        "withdraw_until: last_approval -> first_decision",
        "excluded_reasons: ('abroad_study',) -> ('abroad_study', 'special_unit')",
        *(
            f"province.65.node.{state}.{key}: none -> {value}"
            for state, key, value in (
                ("pending_out", "remind_after_days", 3),
                ("pending_out", "remind_every_days", 2),
                ("pending_out", "expire_after_days", 8),
                ("pending_out", "on_expiry", "return"),
                ("pending_in", "remind_after_days", 1),
                ("pending_in", "expire_after_days", 30),
                ("pending_in", "on_expiry", "approve"),
                ("pending_province", "remind_after_days", 5),
                ("pending_province", "expire_after_days", 12),
                ("pending_province", "on_expiry", "approve"),
                ("pending_assign", "remind_after_days", 6),
                ("pending_assign", "remind_every_days", 7),
                ("pending_assign", "on_expiry", "remind"),
                ("pending_remote", "remind_after_days", 8),
                ("pending_remote", "expire_after_days", 11),
                ("pending_remote", "on_expiry", "return"),
                ("pending_handover", "remind_after_days", 2),
                ("pending_handover", "remind_every_days", 1),
                ("pending_handover", "on_expiry", "remind"),
                ("pending_arrival", "remind_after_days", 7),
                ("pending_arrival", "remind_every_days", 7),
                ("pending_arrival", "on_expiry", "remind"),
            )
        ),
        "phase early: none -> 05-01 to 09-30, clock False, withdraw until first_decision",
        "phase late: none -> 10-01 to 04-30, clock True, withdraw until completed",
        "target XS started: none -> 25% by 08-31",
        "target SX completed: none -> 100% by 12-31",
        "destination.unemployed.township: none -> warn",
        "destination.unemployed.school: none -> forbid",
        "window: none -> 11-01 to 02-29",
    ]


@pytest.mark.rule("DL-10")
@pytest.mark.parametrize(
    ("day", "inside"),
    [
        (date(2027, 10, 31), False),
        (date(2027, 11, 1), True),
        (date(2027, 12, 31), True),
        (date(2028, 1, 1), True),
        (date(2028, 2, 29), True),
        (date(2028, 3, 1), False),
        (date(2028, 7, 1), False),
    ],
)
def test_a_window_over_the_turn_of_the_year(day, inside):
    """DL-10: a window that ends before it begins goes over the turn of the year, both days included."""
    assert reader.parse(WHOLE, "own").in_window(day) is inside


# ---- instants ------------------------------------------------------------------------------------


def china(*when):
    return datetime(*when, tzinfo=clock.CHINA)


@pytest.mark.rule("DL-11", "DL-13")
def test_parts_of_the_year_are_instants():
    """DL-11, DL-13: a part begins at midnight in China and ends with its last day.

    There are thirty-one years of them, in order, without a gap.
    """
    found = calendar.spans(reader.parse(WHOLE, "own"))
    assert len(found) == 62
    assert found[0] == calendar.Span(china(2019, 5, 1), china(2019, 10, 1), EARLY)
    assert found[1] == calendar.Span(china(2019, 10, 1), china(2020, 5, 1), LATE)
    assert found[-1] == calendar.Span(china(2049, 10, 1), china(2050, 5, 1), LATE)
    assert all(here.ends_at == following.begins_at for here, following in pairwise(found))
    assert found[0].begins_at.tzinfo is UTC


@pytest.mark.rule("DL-11")
def test_the_29th_of_february():
    """DL-11: a part that ends on the 29th of February ends on the 28th where the year has none."""
    leap = reader.parse(
        WHOLE.replace('from = "10-01"\nto = "04-30"', 'from = "10-01"\nto = "02-29"').replace(
            'from = "05-01"', 'from = "03-01"'
        ),
        "own",
    )
    ends = {span.ends_at for span in calendar.spans(leap)}
    assert china(2024, 3, 1) in ends and china(2025, 3, 1) in ends
    assert calendar._midnight(2024, (2, 29)) == china(2024, 2, 29)
    assert calendar._midnight(2000, (2, 29)) == china(2000, 2, 29)
    assert calendar._midnight(2100, (2, 29)) == china(2100, 2, 28)
    assert calendar._midnight(2025, (2, 29)) == china(2025, 2, 28)
    assert calendar._midnight(2025, (2, 28)) == china(2025, 2, 28)
    assert calendar._midnight(2025, (3, 29)) == china(2025, 3, 29)


@pytest.mark.rule("DL-07", "DL-11", "DL-12", "DL-13")
@pytest.mark.parametrize(
    ("opened", "due"),
    [
        # within the part in which the clock runs
        (china(2027, 4, 21, 11, 59, 59), china(2027, 4, 30, 23, 59, 59)),
        # it would fall due when the clock has stopped
        (china(2027, 4, 21, 12), china(2027, 10, 1)),
        (china(2027, 5, 1), china(2027, 10, 1)),
        # due before the clock runs again: on its first day
        (china(2027, 9, 21, 11, 59), china(2027, 10, 1)),
        # due afterwards: nine and a half days
        (china(2027, 9, 21, 12, 1), china(2027, 10, 1, 0, 1)),
        # over the turn of the year
        (china(2027, 12, 31, 23), china(2028, 1, 10, 11)),
    ],
)
def test_deadlines_by_hand(opened, due):
    """DL-07: days have 24 hours; DL-11..13: nothing falls due while the clock stands.

    What waits then is due when the clock runs again.
    """
    policy = reader.parse(WHOLE, "own")
    assert calendar.deadline(policy, policy.nodes[State.IN], opened) == due


@pytest.mark.rule("DL-07")
def test_nodes_without_a_deadline_or_a_year():
    """DL-07: no days, no deadline; without parts of the year the days alone decide.

    Beyond the last year they decide alone, too.
    """
    policy = reader.parse(WHOLE, "own")
    assert calendar.deadline(policy, policy.nodes[State.ASSIGN], china(2027, 4, 1)) is None
    assert calendar.deadline(policy, policy.nodes[State.OUT], china(2060, 6, 1)) == china(2060, 6, 9)
    plain = reader.read("national")
    assert calendar.deadline(plain, plain.nodes[State.IN], china(2027, 4, 1, 8)) == china(2027, 4, 11, 8)
    assert calendar.pieces(plain, plain.nodes[State.IN]) == [
        calendar.Piece(datetime(9999, 1, 1, tzinfo=UTC), 10, None, "last_approval")
    ]


@pytest.mark.rule("DL-13")
def test_where_the_clock_never_runs():
    """DL-13: if no part of the year lets the clock run, nothing ever falls due."""
    policy = reader.parse(WHOLE.replace('withdraw_until = "completed"', "clock = false"), "own")
    assert calendar.deadline(policy, policy.nodes[State.IN], china(2027, 12, 1)) is None


@pytest.mark.rule("DL-11", "TRF-28")
def test_rows_of_rules():
    """DL-11, TRF-28: the rows that the database looks up hold what the parts of the year say.

    There are the nation's own and the province's own.
    """
    policy = reader.parse(WHOLE, "own")
    rows = list(calendar.rules(policy))
    keys = [(row["province"], row["state"], row["opens_before"]) for row in rows]
    assert len(set(keys)) == len(keys) and {row["policy"] for row in rows} == {"own@9"}

    def row(province, state, opened):
        """Return the row that holds for a node opened then, as the database picks it."""
        ordered = sorted(
            (one for one in rows if (one["province"], one["state"]) == (province, state)),
            key=lambda one: one["opens_before"],
        )
        found = next(one for one in ordered if opened < one["opens_before"])
        return {
            name: found[name]
            for name in (
                "remind_after",
                "remind_every",
                "expire_after",
                "not_before",
                "on_expiry",
                "withdraw",
            )
        }

    assert row("", "pending_in", china(2027, 6, 1)) == {
        "remind_after": 4,
        "remind_every": None,
        "expire_after": 9.5,
        "not_before": china(2027, 10, 1),
        "on_expiry": "approve",
        "withdraw": "first_own",
    }
    assert row("65", "pending_in", china(2027, 12, 1)) == {
        "remind_after": 1,
        "remind_every": None,
        "expire_after": 30,
        "not_before": None,
        "on_expiry": "approve",
        "withdraw": "yes_own",
    }
    assert row("", "pending_assign", china(2027, 6, 1)) == {
        "remind_after": 6,
        "remind_every": 7,
        "expire_after": None,
        "not_before": None,
        "on_expiry": "remind",
        "withdraw": "no",
    }
    assert row("", "pending_assign", china(2027, 12, 1))["withdraw"] == "yes_own"
    assert {one["fed_withdraw"] for one in rows} == {"yes_own"}
    kept = reader.parse(WHOLE.replace("fed_withdraw = true", "fed_withdraw = false"), "own")
    assert {one["fed_withdraw"] for one in calendar.rules(kept)} == {"no"}


@pytest.mark.rule("DL-08")
@pytest.mark.parametrize(
    ("said", "days"), [('expire_after_days = 9.5\non_expiry = "return"\n', 9.5), ("", 10)]
)
def test_a_node_of_another_system_that_is_left_out(said, days):
    """DL-08: another system has as long as who receives here, and ten days where that has no end."""
    text = WHOLE[: WHOLE.index("[node.pending_remote]")]
    text = text.replace('expire_after_days = 9.5\non_expiry = "approve"\n', said)
    node = reader.parse(text, "own").nodes[State.REMOTE]
    assert (node.expire_after_days, node.on_expiry) == (days, "return")


@pytest.mark.rule("TRF-28")
@pytest.mark.parametrize(
    ("any_member", "state", "until", "word"),
    [
        (True, "pending_in", "first_decision", "first"),
        (True, "pending_in", "last_approval", "yes"),
        (True, "pending_in", "completed", "yes"),
        (False, "pending_in", "last_approval", "yes_own"),
        (True, "pending_assign", "last_approval", "no"),
        (False, "pending_assign", "last_approval", "no"),
        (True, "pending_assign", "completed", "yes"),
        (False, "pending_out", "first_decision", "first_own"),
    ],
)
def test_who_withdraws_at_a_node(any_member, state, until, word):
    """TRF-28: a policy says at which nodes a transfer is withdrawn, and whether by any member.

    At the assignment only where it lets it; before the first decision or at any node; the member's
    own start or any.
    """
    text = WHOLE.replace(
        "member_may_withdraw_any = false", f"member_may_withdraw_any = {str(any_member).lower()}"
    )
    assert calendar.withdrawal(reader.parse(text, "own"), state, until) == word


@pytest.mark.rule("DL-11")
def test_the_part_that_holds():
    """DL-11: the part of an instant includes its first moment and not its end.

    There is none before the first year.
    """
    policy = reader.parse(WHOLE, "own")
    assert calendar.phase_on(policy, china(2027, 10, 1)).phase is policy.phases[1]
    assert calendar.phase_on(policy, china(2027, 10, 1) - timedelta(seconds=1)).phase is policy.phases[0]
    assert calendar.phase_on(policy, china(2018, 10, 1)) is None


@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        (
            "[node.pending_out]",
            "[node.nowhere]\n[node.pending_out]",
            [
                "[node.nowhere] is no node; nodes: pending_out, pending_in, pending_province, pending_assign,"
                " pending_remote, pending_handover, pending_arrival"
            ],
        ),
        (
            'expire_after_days = 8\non_expiry = "return"',
            "expire_after_days = 8",
            ["expire_after_days and an on_expiry of return or approve go together"],
        ),
        (
            'expire_after_days = 8\non_expiry = "return"',
            'on_expiry = "return"',
            ["expire_after_days and an on_expiry of return or approve go together"],
        ),
        (
            'on_expiry = "return"',
            'on_expiry = "explode"',
            ["on_expiry is 'explode'; it must be one of return, approve, remind"],
        ),
        (
            "expire_after_days = 30\n",
            "remind_every_days = 2\nexpire_after_days = 31\n",
            [
                "no bounds are set for remind_every_days, so no province may change it",
                "expire_after_days is 31; the national bounds are 7 to 30",
            ],
        ),
        ("expire_after_days = 30\n", 'expire_after_days = 30\non_expiry = "return"\n', []),
    ],
)
def test_what_goes_together(old, new, sentences):
    """BEY-07: nodes that there are, deadlines with what they do, and everything that is wrong at once."""
    said = problems(WHOLE.replace(old, new, 1))
    assert sorted(one.partition(": ")[2] for one in said) == sorted(sentences)


YEAR = WHOLE[: WHOLE.index("[[phase]]")]
"""Everything before the parts of the year."""


def phases(*parts):
    """Return the policy with these parts of the year, each as its first and last day."""
    return YEAR + "".join(
        f'[[phase]]\nname = "{number}"\nfrom = "{first}"\nto = "{last}"\n'
        for number, (first, last) in enumerate(parts)
    )


@pytest.mark.parametrize(
    ("parts", "ends"),
    [
        ([("01-01", "12-31")], []),
        ([("05-01", "04-30")], []),
        ([("01-01", "12-30")], ["a single phase must cover the whole year"]),
        ([("01-01", "04-30"), ("05-01", "08-31"), ("09-01", "12-31")], []),
        ([("09-01", "12-31"), ("01-01", "04-30"), ("05-01", "08-31")], []),
        (
            [("01-01", "04-30"), ("05-01", "08-30"), ("09-01", "12-31")],
            ["phase '2' leaves a gap after '1': it must begin on 08-31"],
        ),
        # a part of a single day
        ([("01-01", "01-01"), ("01-02", "12-31")], []),
        (
            [("01-01", "12-31"), ("12-31", "12-31")],
            [
                "phase '1' overlaps '0': it must begin on 01-01",
            ],
        ),
    ],
)
def test_one_part_and_three(parts, ends):
    """DL-11: one part is the whole year; of three each begins the day after the one before."""
    assert [one.partition(": ")[2] for one in problems(phases(*parts))] == ends


@pytest.mark.rule("DL-10")
@pytest.mark.parametrize(
    ("enforced", "window", "day", "inside"),
    [
        (True, ((5, 1), (9, 30)), date(2027, 4, 30), False),
        (True, ((5, 1), (9, 30)), date(2027, 5, 1), True),
        (True, ((5, 1), (9, 30)), date(2027, 9, 30), True),
        (True, ((5, 1), (9, 30)), date(2027, 10, 1), False),
        (True, ((11, 1), (2, 28)), date(2027, 1, 1), True),
        (True, ((11, 1), (2, 28)), date(2027, 3, 1), False),
        (True, ((5, 1), (5, 1)), date(2027, 5, 1), True),
        (True, ((5, 1), (5, 1)), date(2027, 6, 1), False),
        (True, None, date(2027, 6, 1), True),
        (False, ((5, 1), (9, 30)), date(2027, 4, 30), True),
    ],
)
def test_in_window(enforced, window, day, inside):
    """DL-10: graduates start inside the window, where a policy enforces one; both ends belong to it."""
    policy = Policy("own", "1", "DL-10", NODES, window=window, enforce_window=enforced)
    assert policy.in_window(day) is inside


def test_the_superior_advises_unless_said_otherwise():
    """BEY-06: what a common superior finds is advice by default."""
    assert reader.parse(WHOLE, "own").superior_decides is False


@pytest.mark.rule("DL-11")
def test_the_first_piece_is_the_first_part_of_the_year():
    """DL-11: pieces begin with the first part of the first year, and each is one where nothing falls due."""
    never = NodePolicy(3, None, None, "remind")
    policy = Policy("own", "1", "DL-11", NODES, phases=(EARLY, LATE))
    every = calendar.spans(policy)
    assert [one.opens_before for one in calendar.pieces(policy, never)[:-1]] == [one.ends_at for one in every]
    # a deadline that is just as long as the first part makes no piece of no length before it
    whole = NodePolicy(None, None, (every[0].ends_at - every[0].begins_at).days, "return")
    ticking = Policy("own", "1", "DL-11", NODES, phases=(replace(EARLY, clock=True), LATE))
    assert calendar.pieces(ticking, whole)[0].opens_before > every[0].begins_at


def test_a_part_of_one_day():
    """DL-11: a part of the year that begins and ends on one day is that day, in the same year."""
    day = Phase("day", (6, 1), (6, 1), True, "completed")
    found = calendar.spans(Policy("own", "1", "DL-11", NODES, phases=(day,)))
    assert {one.ends_at - one.begins_at for one in found} == {timedelta(days=1)}

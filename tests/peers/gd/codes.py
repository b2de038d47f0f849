"""GD's own codes: whole numbers, which collide with those of other systems, and their words."""

KINDS = {1: "省级团委", 2: "市级团委", 3: "团委", 4: "团总支", 5: "团支部"}
COMMITTEE = {3, 4}
BRANCH = 5

# GD's number -> the reason of the list that means the same, and the text that goes with it
REASONS = {
    1: ("not_here", "该同志不在本地居住或工作"),
    2: ("work_elsewhere", "请转往工作单位所在地团组织"),
    3: ("household_elsewhere", "请转往户籍所在地团组织"),
    4: ("short_term", "仅为短期实习"),
    5: ("wrong_data", "资料不符,请更正"),
    31: ("", "团费缴纳情况待核实"),
    32: ("", "团员档案材料不齐"),
}
"""Those of GD alone go out with their number as the code: whoever hears one shows its text."""

CAUSES = {11: "升学", 12: "就业", 13: "随家庭迁居", 14: "返乡"}
"""Why a member of GD's leaves; no system but GD knows these."""


# fmt: off
PAGE = {
    "not_here", "household_elsewhere", "work_elsewhere", "short_term", "wrong_data", "other", "overdue",
    "identity_active", "identity_invalid", "identity_differs", "name_invalid", "age_out_of_range",
    "withdrawn", "transfer_open", "unknown_target", "target_not_allowed", "given_up", "record_unreadable",
    "never_seen", "too_late",
}
# fmt: on
"""The list of the page."""


def said(typed: str, otherwise: int = 1) -> dict:
    """Return `reason` and `text` for what somebody has typed: a number, a word of the page, or a text."""
    if not typed:
        return reason(otherwise)
    if typed.isdecimal() and int(typed) in REASONS:
        return reason(int(typed))
    return {"reason": typed} if typed in PAGE else {"reason": "other", "text": typed[:1000]}


def reason(number: int) -> dict:
    """Return `reason` and `text` for one of GD's numbers."""
    shared, text = REASONS[number]
    return {"reason": shared or str(number), "text": text}

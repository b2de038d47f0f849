"""A tree with names of Fujian's kind, some long and written wide, and members; all invented, by the seed."""

import random
from datetime import date, timedelta

KINDS = ("省级团委", "市级团委", "县级团委", "团委", "团工委", "团总支", "团支部")
COMMITTEES = ("团委", "团工委", "团总支")
BRANCH = "团支部"
WIDE = {at: at + 0xFEE0 for at in range(ord("!"), ord("~") + 1)}
"""Half width to full width, as some of FJ's clerks type."""
TREE = {
    "福州市": {"鼓楼区": "东街街道(ABC软件园)海峡两岸青年创业基地", "闽侯县": "上街镇大学城第3学生社区"},
    "厦门市": {"思明区": "鹭江街道(K-POP)青年文化产业园", "集美区": "杏林湾Design2000设计学院"},
    "泉州市": {
        "晋江市": "陈埭镇鞋业(非公有制经济组织)",
        "丰泽区": "华大街道" + "海上丝绸之路青年创新创业孵化基地" * 2 + "及相邻的C区青年公寓(含A1至A9各楼)",
    },
}
FAMILY = ("陈", "林", "黄", "郑", "蓝", "雷", "钟", "欧阳")
GIVEN = "闽榕鹭晋嘉海潮帆月茗武夷山青禾"
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
AREAS = {"FJ": 350000, "BJ": 111000, "GD": 441000, "national": 421000}


def code(nth: int) -> str:
    """Return the code of an organisation."""
    return f"闽-{nth:04}"


def organisations() -> list[tuple]:
    """Return code, parent, kind, name, short name and telephone of each; parents come before children."""
    rows: list[tuple] = []

    def add(parent: str, kind: str, name: str, short: str) -> str:
        made = code(len(rows) + 1)
        rows.append((made, parent, kind, name, short, f"0591-5550{len(rows):04}"))
        return made

    root = add("", "省级团委", "共青团福建省委员会", "团省委")
    for city, districts in TREE.items():
        above = add(root, "市级团委", f"共青团福建省{city}委员会", city)
        for district, place in districts.items():
            county = add(above, "县级团委", f"共青团福建省{city}{district}委员会", district)
            full = f"共青团福建省{city}{district}{place}".translate(WIDE)
            for kind, tail in (("团委", "委员会"), ("团工委", "工作委员会")):
                committee = add(county, kind, full + tail, place[:6])
                section = add(committee, "团总支", f"{full}{tail}青年总支部委员会", "青年总支")
                for nth in (1, 2):
                    name = f"{full}{tail}第{nth}(联合)支部委员会".translate(WIDE)
                    add(section if nth == 1 else committee, BRANCH, name, f"第{nth}支部")
    return rows


def check_digit(seventeen: str) -> str:
    """Return the last place of an identity number (GB 11643)."""
    total = sum(int(digit) * weight for digit, weight in zip(seventeen, WEIGHTS, strict=True))
    return "10X98765432"[total % 11]


def is_number(number) -> bool:
    """Return whether this can be an identity number."""
    if (
        not isinstance(number, str)
        or len(number) != 18
        or not (number[:17].isascii() and number[:17].isdigit())
    ):
        return False
    return check_digit(number[:17]) == number[17]


def tidy(number) -> str:
    """Return a number as it is compared: full width, blanks and small x make no difference."""
    narrow = {wide: half for half, wide in WIDE.items()}
    return "".join(str(number).translate(narrow).split()).upper()


def age(number: str, on: date) -> int | None:
    """Return how old somebody is by the number, None where it names no day."""
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def member(seed: int, system: str, nth: int, wrong: bool = False) -> dict:
    """Return the nth member of a system, of member's age; `wrong`: the checksum of the number is."""
    dice = random.Random(f"{seed}/{system}/member/{nth}")
    born = date(2026, 6, 1) - timedelta(days=dice.randrange(16 * 365, 26 * 365))
    seventeen = f"{AREAS.get(system, 990000) + nth // 1000}{born:%Y%m%d}{nth % 1000:03}"
    last = check_digit(seventeen)
    if wrong:
        last = "0" if last != "0" else "1"
    return {
        "number": seventeen + last,
        "name": dice.choice(FAMILY) + "".join(dice.sample(GIVEN, 2)),
        "joined_on": (born + timedelta(days=14 * 365 + dice.randrange(700))).isoformat(),
    }


REASONS = {
    "FJ-01": ("not_here", "该同志不在本地居住或工作"),
    "FJ-02": ("wrong_data", "资料有误,请更正"),
    "FJ-07": ("", "团费缴纳情况待核实(闽)"),
    "FJ-09": ("", "志愿书原件未见"),
}
"""FJ's own codes, and those of the page that mean the same; others go out as they are, with their text."""
CAUSES = {"FJ-Y1": "升学", "FJ-Y2": "就业", "FJ-Y3": "两岸青年创业"}


def reason(code: str) -> dict:
    """Return `reason` and `text` for one of FJ's codes, one of the page's, or a text."""
    if code in REASONS:
        shared, text = REASONS[code]
        return {"reason": shared or code, "text": text}
    return {"reason": code} if code in LISTED else {"reason": "other", "text": code}


LISTED = frozenset(
    {
        *("not_here", "household_elsewhere", "work_elsewhere", "short_term", "wrong_data", "other"),
        *("identity_active", "identity_invalid", "identity_differs", "name_invalid", "age_out_of_range"),
        *("transfer_open", "unknown_target", "target_not_allowed", "overdue", "withdrawn", "given_up"),
        *("record_unreadable", "never_seen", "too_late"),
    }
)

"""A small tree with names of Guangdong's kind, and members; all of it invented, all of it by the seed."""

import random
from datetime import date, timedelta

from tests.peers.gd import registry

PROVINCE = "广东数字共青团"
TREE = {
    "广州市": ("越秀区", "天河区", "番禺区"),
    "深圳市": ("南山区", "宝安区"),
    "佛山市": ("禅城区", "顺德区"),
    "东莞市": ("莞城街道",),
}
PLACES = ("云珠实验中学", "荔湾湖科技园", "南粤机电厂", "木棉社区", "珠水职业学院", "岭海软件公司")
BRANCHES = ("第一", "第二", "第三")
FAMILY = "陈李黄张梁林吴刘罗何郑谢叶邓冯潘苏卢"
GIVEN = "嘉欣俊杰伟明晓彤子轩思敏浩然淑仪文锋诗雅志远"
FIRST_CODE = 1


def organisations(seed: int) -> list[tuple]:
    """Return code, parent, kind, name, telephone of each; parents come before children."""
    chance = random.Random(f"{seed}/organisations")
    rows: list[tuple] = []

    def add(parent, kind: int, name: str) -> int:
        code = FIRST_CODE + len(rows)
        rows.append((code, parent, kind, name, f"020-5550{chance.randrange(10_000):04}"))
        return code

    root = add(None, 1, f"共青团{PROVINCE}委员会")
    for city, districts in TREE.items():
        above = add(root, 2, f"共青团{city}委员会")
        for district in districts:
            place = f"{district}{chance.choice(PLACES)}"
            committee = add(above, 3, f"共青团{city}{place}委员会")
            section = add(committee, 4, f"共青团{city}{place}总支部委员会")
            for nth in BRANCHES:
                add(chance.choice((committee, section)), 5, f"共青团{city}{place}{nth}支部委员会")
    return rows


def member(seed: int, system: str, nth: int) -> dict:
    """Return the nth member of a system, of member's age, with a number that no other system's seed makes."""
    chance = random.Random(f"{seed}/{system}/member/{nth}")
    born = date(registry.today().year, 1, 1) - timedelta(days=chance.randrange(16 * 365, 26 * 365))
    area = {"national": 100000, "BJ": 110000, "GD": 440000, "FJ": 350000}.get(system, 990000) + nth // 1000
    seventeen = f"{area}{born:%Y%m%d}{nth % 1000:03}"
    return {
        "number": seventeen + registry.check_digit(seventeen),
        "name": chance.choice(FAMILY) + "".join(chance.sample(GIVEN, chance.choice((1, 2)))),
        "gender": "男" if nth % 2 else "女",
        "born_on": born.isoformat(),
        "joined_on": (born + timedelta(days=14 * 365 + chance.randrange(700))).isoformat(),
        "phone": f"1390000{nth % 10_000:04}",
        "papers": '{"ethnic_group": "汉族"}',
        "since": (born + timedelta(days=16 * 365)).isoformat(),
    }

"""Reference lists: what may be chosen, with its words.

Data, with no rules of its own; a new entry is a new line here.
"""

from __future__ import annotations

from typing import NamedTuple

FIELDS: dict[str, str] = {
    "学校名称": "the name of the school",
    "学校所在地详细地址": "the address of the school",
    "工作单位名称": "the name of the employer",
    "工作单位所在地详细地址": "the address of the employer",
    "户籍地或居住地详细地址": "the address of household or residence",
    "组织全称": "the full name of the organisation",
    "所属行业": "the industry",
    "联系电话": "the telephone",
    "团员、抬头": "members and addressee",
    "姓名、身份证号码或发展团员编号": "a name, an ID number or a development number",
    "预计毕业时间": "the time of graduation",
    "预计毕业时间、延迟毕业原因": "the new time of graduation and the reason of the delay",
    "团内职务": "the post",
    "地名(至少两个字)": "the name of a place, of two characters at least",
    "国(境)外所在地": "the place abroad",
    "国内联系人": "a contact at home",
    "联系方式": "how the contact is reached",
}
"""What a refusal calls the fields that somebody has to fill in (`field_missing`), in English."""
DOMAINS: dict[str, tuple[str, str]] = {
    "school": ("学校", "Schools"),
    "public": ("机关事业单位", "Organs and public institutions"),
    "state_enterprise": ("国有企业", "State enterprises"),
    "private_enterprise": ("非公企业", "Non-public enterprises"),
    "social": ("新社会组织", "New social organisations"),
    "urban": ("城市社区", "Urban communities"),
    "rural": ("农村", "Rural"),
}
"""Domains of the entry-progress statistics (ORG-26)."""


class Industry(NamedTuple):
    """One industry: its English name and its domain (ORG-25).

    `markable`: whether branches in it may be marked with a time of graduation (GRAD-09).
    """

    en: str
    domain: str
    markable: bool = False

    @property
    def school(self) -> bool:
        """Return whether it belongs to the school domain."""
        return self.domain == "school"


INDUSTRIES: dict[str, Industry] = {
    "普通高等院校": Industry("Higher education", "school", True),
    "高等职业院校": Industry("Higher vocational education", "school", True),
    "中等职业学校": Industry("Secondary vocational school", "school", True),
    "技工学校": Industry("Technical school", "school", True),
    "普通高中": Industry("Senior secondary school", "school", True),
    "初中": Industry("Junior secondary school", "school", True),
    "小学": Industry("Primary school", "school"),
    "党政机关": Industry("Party and government organs", "public"),
    "事业单位": Industry("Public institution", "public"),
    "国有企业": Industry("State enterprise", "state_enterprise"),
    "非公企业": Industry("Non-public enterprise", "private_enterprise"),
    "新社会组织": Industry("New social organisation", "social"),
    "城市社区": Industry("Urban community", "urban"),
    "农村": Industry("Rural", "rural"),
}
"""By the Chinese name that is stored; an empty name is allowed and belongs to no domain (ORG-25)."""

POST_NAMES: dict[str, tuple[str, str]] = {
    "secretary": ("书记", "Secretary"),
    "deputy_secretary": ("副书记", "Deputy secretary"),
    "standing_member": ("常委", "Member of the standing committee"),
    "committee_member": ("委员", "Committee member"),
    "organiser": ("组织委员", "Organisation officer"),
    "publicist": ("宣传委员", "Publicity officer"),
}
POSTS: dict[str, tuple[str, ...]] = {
    "leading_body": ("secretary", "deputy_secretary", "standing_member", "committee_member"),
    "committee": ("secretary", "deputy_secretary", "committee_member", "organiser", "publicist"),
    "work_committee": ("secretary", "deputy_secretary", "committee_member", "organiser", "publicist"),
    "general_branch": ("secretary", "deputy_secretary", "committee_member", "organiser", "publicist"),
    "branch": ("secretary", "deputy_secretary", "organiser", "publicist"),
}
"""Posts by kind of organisation (CADRE-05)."""


def administrator_limit(kind: str) -> int:
    """Return how many administrators an organisation of a kind may have (ADM-01)."""
    return 2 if kind == "leading_body" else 3


def is_school(industry: str) -> bool:
    """Return whether an industry is of the school domain (ORG-25)."""
    return industry in INDUSTRIES and INDUSTRIES[industry].school


def is_markable(industry: str) -> bool:
    """Return whether branches of an industry may have a time of graduation (GRAD-09)."""
    return industry in INDUSTRIES and INDUSTRIES[industry].markable


def post_code(name: str) -> str | None:
    """Return the code of a post by its Chinese name, or None for a name that is not in the list.

    The empty name is the empty code, no post.
    """
    return {zh: code for code, (zh, _) in POST_NAMES.items()}.get(name) if name else ""

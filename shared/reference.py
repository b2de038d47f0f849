"""Reference lists: what may be chosen, beside the codes of `shared.messages.words`.

Data, with no rules of its own; a new entry is a new line here.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.messages.words import Domain, OrgKind, PostCode

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


class Industry(NamedTuple):
    """One industry: its English name and its domain (ORG-25).

    `markable`: whether branches in it may be marked with a time of graduation (GRAD-09).
    """

    en: str
    domain: Domain
    markable: bool = False

    @property
    def school(self) -> bool:
        """Return whether it belongs to the school domain."""
        return self.domain == Domain.SCHOOL


INDUSTRIES: dict[str, Industry] = {
    "普通高等院校": Industry("Higher education", Domain.SCHOOL, True),
    "高等职业院校": Industry("Higher vocational education", Domain.SCHOOL, True),
    "中等职业学校": Industry("Secondary vocational school", Domain.SCHOOL, True),
    "技工学校": Industry("Technical school", Domain.SCHOOL, True),
    "普通高中": Industry("Senior secondary school", Domain.SCHOOL, True),
    "初中": Industry("Junior secondary school", Domain.SCHOOL, True),
    "小学": Industry("Primary school", Domain.SCHOOL),
    "党政机关": Industry("Party and government organs", Domain.PUBLIC),
    "事业单位": Industry("Public institution", Domain.PUBLIC),
    "国有企业": Industry("State enterprise", Domain.STATE_ENTERPRISE),
    "非公企业": Industry("Non-public enterprise", Domain.PRIVATE_ENTERPRISE),
    "新社会组织": Industry("New social organisation", Domain.SOCIAL),
    "城市社区": Industry("Urban community", Domain.URBAN),
    "农村": Industry("Rural", Domain.RURAL),
}
"""By the Chinese name that is stored; an empty name is allowed and belongs to no domain (ORG-25)."""

_OF_COMMITTEES = (
    PostCode.SECRETARY,
    PostCode.DEPUTY_SECRETARY,
    PostCode.COMMITTEE_MEMBER,
    PostCode.ORGANISER,
    PostCode.PUBLICIST,
)
POSTS: dict[str, tuple[PostCode, ...]] = {
    OrgKind.LEADING_BODY: (
        PostCode.SECRETARY,
        PostCode.DEPUTY_SECRETARY,
        PostCode.STANDING_MEMBER,
        PostCode.COMMITTEE_MEMBER,
    ),
    OrgKind.COMMITTEE: _OF_COMMITTEES,
    OrgKind.WORK_COMMITTEE: _OF_COMMITTEES,
    OrgKind.GENERAL_BRANCH: _OF_COMMITTEES,
    OrgKind.BRANCH: (
        PostCode.SECRETARY,
        PostCode.DEPUTY_SECRETARY,
        PostCode.ORGANISER,
        PostCode.PUBLICIST,
    ),
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
    return {one.zh: one for one in PostCode}.get(name) if name else ""

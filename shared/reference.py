"""Reference lists: what may be chosen, beside the codes of `shared.messages.words`.

Data, with no rules of its own; a new entry is a new line here.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.messages.words import Domain, OrgKind, PostCode
from shared.translations import N_

FIELDS = (
    N_("学校名称"),
    N_("学校所在地详细地址"),
    N_("工作单位名称"),
    N_("工作单位所在地详细地址"),
    N_("户籍地或居住地详细地址"),
    N_("名称"),
    N_("组织全称"),
    N_("所属行业"),
    N_("联系电话"),
    N_("团员、抬头"),
    N_("姓名、身份证号码或发展团员编号"),
    N_("预计毕业时间"),
    N_("预计毕业时间、延迟毕业原因"),
    N_("团内职务"),
    N_("地名(至少两个字)"),
    N_("国(境)外所在地"),
    N_("国内联系人"),
    N_("联系方式"),
)
"""What a refusal calls the fields that somebody has to fill in (`field_missing`)."""


class Industry(NamedTuple):
    """One industry: its domain (ORG-25).

    `markable`: whether branches in it may be marked with a time of graduation (GRAD-09).
    """

    domain: Domain
    markable: bool = False

    @property
    def school(self) -> bool:
        """Return whether it belongs to the school domain."""
        return self.domain == Domain.SCHOOL


INDUSTRIES: dict[str, Industry] = {
    N_("普通高等院校"): Industry(Domain.SCHOOL, True),
    N_("高等职业院校"): Industry(Domain.SCHOOL, True),
    N_("中等职业学校"): Industry(Domain.SCHOOL, True),
    N_("技工学校"): Industry(Domain.SCHOOL, True),
    N_("普通高中"): Industry(Domain.SCHOOL, True),
    N_("初中"): Industry(Domain.SCHOOL, True),
    N_("小学"): Industry(Domain.SCHOOL),
    N_("党政机关"): Industry(Domain.PUBLIC),
    N_("事业单位"): Industry(Domain.PUBLIC),
    N_("国有企业"): Industry(Domain.STATE_ENTERPRISE),
    N_("非公企业"): Industry(Domain.PRIVATE_ENTERPRISE),
    N_("新社会组织"): Industry(Domain.SOCIAL),
    N_("城市社区"): Industry(Domain.URBAN),
    N_("农村"): Industry(Domain.RURAL),
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

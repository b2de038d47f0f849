"""Every component of the pages, shown once, for those who build pages; an installation does not have it."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from flask import request

from services.gateway import kit, settings
from services.gateway.kit import tiles
from services.gateway.kit.language import gettext as _
from services.gateway.kit.table import Listing
from services.gateway.kit.tiles import Tile
from services.gateway.kit.timeline import Phone, Step
from shared import clock
from shared.errors import Refusal, Refused
from shared.messages.words import TrailEvent


@kit.blueprint.get("/gallery")
def gallery() -> Any:
    """Show the components with the longest words they meet.

    Raises:
        Refused: `not_found` where the installation does not ask for it.

    """
    if not settings.current().gallery:
        raise Refused("not_found")
    now = clock.now()
    listing = Listing("/gallery", {"sort": request.args.get("sort", "due")})
    org = SimpleNamespace(
        short_name="计算机科学与技术学院2022级软件工程专业1班团支部",
        full_name="共青团湖北省武汉市洪山区武汉大学计算机科学与技术学院2022级软件工程专业1班支部委员会",
        system="national",
    )
    return kit.render(
        "gallery.html",
        columns=[
            listing.column("", style="tick", unseen=_("勾选")),
            listing.column(_("姓名"), "name"),
            listing.column(_("转出团支部")),
            listing.column(_("系统校验")),
            listing.column(_("期限"), "due"),
        ],
        rows=[
            ("阿卜杜热合曼·买买提依明", org, now + timedelta(hours=5)),
            ("王芳", org, now + timedelta(days=9)),
            ("欧阳娜娜", org, now - timedelta(days=2)),
            ("李伟", org, None),
        ],
        org=org,
        there=SimpleNamespace(full_name=org.full_name, system="GD"),
        steps=[
            Step("done", _("提交接转申请"), now - timedelta(days=9)),
            Step("failed", _("转出组织审批"), tag=TrailEvent.REJECT, where=org, phone="027-68750000"),
            Step(
                "open",
                _("转入组织审批"),
                where=org,
                lines=((now, _("收到,等待审批")), (_("最迟"), now + timedelta(days=3))),
                sources=("DL-01",),
            ),
            Step(
                "ahead",
                _("等待对方系统审批"),
                typed=("GD", org.full_name),
                lines=((now, org.full_name, Phone("020-87330000")),),
            ),
            Step("ahead", _("完成")),
        ],
        tiles=[
            Tile(_(tiles.NAMES[code]), *place, "late", 12345, tiles.NAMES[code])
            for code, place in tiles.PLACES.items()
        ],
        listing=listing,
        errors={"name": _("请填写此项"), "joined_on": _("请按 2026-06-30 的形式填写日期")},
        refusal=Refusal("not_found"),
        form={"joined_on": "昨天", "place": "武汉市洪山区"},
    )

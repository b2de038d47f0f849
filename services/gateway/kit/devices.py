"""What a browser and its system are called, from what the browser says of itself."""

from __future__ import annotations

from services.gateway.kit.language import gettext as _
from shared.translations import N_

BROWSERS = (
    ("MicroMessenger", N_("微信")),
    ("QQBrowser", N_("QQ浏览器")),
    ("UCBrowser", N_("UC浏览器")),
    ("360", N_("360浏览器")),
    ("Edg", "Edge"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("Chrome", "Chrome"),
    ("CriOS", "Chrome"),
    ("Safari", "Safari"),
)
"""A part of the name that a browser gives itself, and what people call it; the first that fits.

Nearly all of them call themselves Safari and Chrome, too, so those come last.
"""
SYSTEMS = (
    ("HarmonyOS", N_("鸿蒙")),
    ("Android", N_("安卓")),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def called(agent: str) -> str:
    """Return what people call a browser and its system; what is not known is another device."""
    known = [next((words for part, words in names if part in agent), "") for names in (BROWSERS, SYSTEMS)]
    return " · ".join(_(one) for one in known if one) or _("其他设备")

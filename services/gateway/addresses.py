"""Under which address people reach this installation.

A setting says it, never a header that anybody can write.
"""

from __future__ import annotations

from flask import request

from services.gateway import settings


def public_root() -> str:
    """Return the address of the start page, with a slash at its end.

    Without the setting, as in development, it is what the request says.
    """
    given = settings.current().public_url
    return f"{given}/" if given else request.url_root

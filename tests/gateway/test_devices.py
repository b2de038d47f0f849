"""What browsers and their systems are called."""

from __future__ import annotations

import pytest

from services.gateway.kit import devices

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
ANDROID = "Mozilla/5.0 (Linux; Android 15; V2309A) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (f"{WINDOWS} Safari/537.36", "Chrome · Windows"),
        (f"{WINDOWS} Safari/537.36 Edg/140.0.0.0", "Edge · Windows"),
        (f"{ANDROID} Mobile Safari/537.36 XWEB/1300 MicroMessenger/8.0.50", "微信 · 安卓"),
        (f"{IPHONE} Version/18.0 Mobile/15E148 Safari/604.1", "Safari · iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox · Linux"),
        ("python-requests/2.32 <b>", "其他设备"),
        ("", "其他设备"),
    ],
)
def test_called(agent, name):
    """Whoever looks at the own sessions reads names, whatever else a browser says of itself."""
    assert devices.called(agent) == name

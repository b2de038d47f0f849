"""How a bridge is, as its operators read it."""

from datetime import timedelta

from services.gateway.pages import bridge_state
from shared import clock


def test_who_is_on_the_way_is_no_trouble_for_an_hour():
    """FED-11: every hand-over is on the way for a while; pointed out when the alert rings."""
    now = clock.now()
    assert bridge_state.doubt(None) == bridge_state.doubt(now - timedelta(minutes=59)) == ""
    assert bridge_state.doubt(now - timedelta(minutes=61)) == "late"

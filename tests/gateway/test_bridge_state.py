"""How a bridge is, as its operators read it."""

from datetime import timedelta

import flask
import pytest

from services.gateway.kit import language
from services.gateway.pages import bridge_state
from shared import clock
from shared.errors import Refused
from shared.messages.members import RegistryKey
from shared.messages.words import System


def test_who_is_on_the_way_is_no_trouble_for_an_hour():
    """FED-11: every hand-over is on the way for a while; pointed out when the alert rings."""
    now = clock.now()
    assert bridge_state.doubt(None) == bridge_state.doubt(now - timedelta(minutes=59)) == ""
    assert bridge_state.doubt(now - timedelta(minutes=61)) == "late"


@pytest.mark.parametrize(
    ("ours", "theirs", "said", "colour"),
    [
        (300, 200, "200天后到期", ""),
        (13, 200, "13天后到期", "soon"),
        (300, 2, "2天后到期", "late"),
        (300, 0, "缺少对方密钥", "late"),
        (0, 200, "缺少本方密钥", "late"),
    ],
)
def test_keys_of_registries(ours, theirs, said, colour):
    """BEY-16: operators read when the first key ends that registries are sealed for, or what is missing."""
    app = flask.Flask("bridge_state")
    language.prepare(app)
    answer = [RegistryKey(peer="national", days_left=ours), RegistryKey(peer="BJ", days_left=theirs)]
    with app.app_context():
        (fact,) = bridge_state._registry_keys(System.BEIJING, answer)
        assert (fact.said, fact.colour) == (said, colour)
        assert bridge_state._registry_keys(System.BEIJING, Refused("unavailable")) == []

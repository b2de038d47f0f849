"""A process that lives but works no more ends itself; one that was stopped as a whole does not."""

import os
import signal
import time
from contextlib import closing

import pytest

from shared import watchdog
from shared.bus.rpc import RpcClient
from shared.errors import Refused
from shared.messages.transfers import GetTransfer
from tests.installation import ROOT
from tests.shared.test_bus import BUS, PROBE_QUERY, Probe, token

LOOKS = 2
assert token


@pytest.fixture
def probe(keys):
    with closing(Probe(keys, environ={"PROBE_LOOKS": str(LOOKS)})) as made:
        made.create()
        made.start("scheduler")
        yield made


def test_a_loop_that_stands_still_ends_the_process(probe, token):
    """SIGSTOP for longer than a loop may stand still harms nobody; a handler that spins ends the process.

    It says where it stood.
    """
    process = probe.processes["scheduler"]
    process.send_signal(signal.SIGSTOP)
    time.sleep(LOOKS + 1.5)
    process.send_signal(signal.SIGCONT)
    with closing(RpcClient(BUS)) as client:
        assert client.call(PROBE_QUERY, GetTransfer(transfer_id=42), token=token) == 42
        time.sleep(LOOKS + 0.5)
        assert process.poll() is None
        with pytest.raises(Refused):
            client.call(PROBE_QUERY, GetTransfer(transfer_id=9), token=token, timeout=1)
    assert process.wait(20) == watchdog.EXIT_CODE
    assert "in spin" in (ROOT / "var" / "logs" / f"probe_{os.getpid()}.log").read_text()

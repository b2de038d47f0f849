"""A GD within the test's own process, and the stranger who is its peer."""

import threading

import pytest

from tests.peers.factories import House, Stranger
from tests.peers.gd import keys, moments, web


@pytest.fixture
def folders(tmp_path):
    """The folders with the keys of GD and of FJ."""
    folders = tmp_path / "keys-gd", tmp_path / "keys-fj"
    keys.exchange(folders[0], "GD", folders[1], "FJ")
    return folders


@pytest.fixture
def gd(tmp_path, folders):
    """A GD without faults."""
    return House(tmp_path, folders[0], set())


@pytest.fixture
def stranger(folders):
    """GD's peer, FJ."""
    return Stranger(folders[1], "FJ", "GD")


@pytest.fixture
def serve():
    """Put houses on the network; they are taken from it at the end."""
    servers = []

    def put(house: House) -> str:
        server = web.Server(0, house.file, house.desk, moments.now())
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield put
    for server in servers:
        server.shutdown()
        server.server_close()

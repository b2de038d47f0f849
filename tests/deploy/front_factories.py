"""The front with its real configuration: Debian's nginx before real gateways."""

import http.client
import shutil
import ssl
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from services.gateway.serving import certificate
from tests.installation import ROOT, free_port
from tests.system.slow_connections_factories import Edge

NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else "")
FRONT = ROOT / "deploy" / "front"


class Front(Edge):
    """The front on ports of its own."""

    def __init__(self, process, plain, secure):
        super().__init__(process, secure)
        self.plain = plain
        self.trust = ssl.create_default_context()
        self.trust.check_hostname, self.trust.verify_mode = False, ssl.CERT_NONE

    def open(self):
        return http.client.HTTPSConnection("localhost", self.port, timeout=20, context=self.trust)

    def ask(self, path, method="GET", body=None, **headers):
        """Return status, headers, body and seconds."""
        connection, started = self.open(), time.monotonic()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = (
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(),
            time.monotonic() - started,
        )
        connection.close()
        return found

    def connect(self, data=b"", buffer=None):
        made = self.trust.wrap_socket(super().connect(), server_hostname="localhost")
        made.sendall(data)
        return made


def _configure(folder, behind, plain, secure):
    """Copy the very files; only the places are others."""
    shutil.copy(FRONT / "nginx.conf", folder)
    servers = "".join(f"server 127.0.0.1:{one.port};" for one in behind)
    place = (FRONT / "place.conf").read_text()
    assert "server gateway:8000;" in place
    (folder / "place.conf").write_text(place.replace("server gateway:8000;", servers))
    (folder / "plain.conf").write_text((FRONT / "plain.conf").read_text().replace("80", str(plain)))
    (folder / "secure.conf").write_text(
        (FRONT / "secure.conf").read_text().replace("443", str(secure)).replace("/tls", str(folder))
    )


@contextmanager
def front_before(folder, *behind):
    """Run the front before some gateways, once it answers."""
    plain, secure = free_port(), free_port()
    assert certificate.make(folder, "localhost") and not certificate.make(folder, "localhost")
    _configure(folder, behind, plain, secure)
    words = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off; user root;"]
    tested = subprocess.run([*words, "-t"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    made, ends = Front(process, plain, secure), time.monotonic() + 20
    made.log = folder / "log"
    while True:
        try:
            if made.ask("/contacts")[0] == 200:
                break
        except OSError:
            pass
        assert process.poll() is None and time.monotonic() < ends, (folder / "log").read_text()
        time.sleep(0.2)
    try:
        yield made
    finally:
        process.terminate()
        process.wait(20)

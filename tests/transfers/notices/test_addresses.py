"""Outgoing addresses: what is read in them, where they lead, what is said of it.

The listeners are real ones, on this machine.
"""

import datetime
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.transfers import settings
from services.transfers.notices import addresses, channels
from shared.settings import Environment, from_environment

NOTICE = {"id": "7:2", "transfer_id": 7, "event": "reject", "state": "rejected"}


def told():
    """Return the settings as the environment says them now."""
    return settings.read(Environment(), from_environment())


@pytest.fixture(autouse=True)
def hosts(monkeypatch):
    monkeypatch.setenv("TUANQIAO_NOTICE_HOSTS", "hooks.test, Other.Test:8443, localhost, sms")


@pytest.fixture
def local(monkeypatch):
    """Allow what is on this machine, and say on which ports."""
    monkeypatch.setenv("TUANQIAO_NOTICE_LOOPBACK", "true")
    return lambda *ports: monkeypatch.setenv(
        "TUANQIAO_NOTICE_HOSTS",
        ",".join(f"{host}:{port}" for port in ports for host in ("localhost", "127.0.0.1")),
    )


@pytest.mark.rule("BEY-15")
@pytest.mark.parametrize(
    "address, stored",
    [
        ("https://hooks.test/x", "https://hooks.test/x"),
        ("https://HOOKS.test:443/a/../x?b=1", "https://hooks.test/x?b=1"),
        ("https://hooks.test", "https://hooks.test/"),
        ("https://hooks.test?x=1", "https://hooks.test/?x=1"),
        ("https://other.test:8443/x", "https://other.test:8443/x"),
        ("mailto:office@hooks.test", "mailto:office@hooks.test"),
        ("mailto:a.b+c@hooks.test", "mailto:a.b+c@hooks.test"),
        ("sms:+8612355", "sms:+8612355"),
    ],
)
def test_good_addresses(address, stored):
    """BEY-15: an address has one way in which it is written; reading that again changes nothing."""
    assert addresses.normal(told(), address) == stored == addresses.normal(told(), stored)


@pytest.mark.rule("BEY-15")
@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1:18999\\@hooks.test/x",
        "https://hooks.test\\@evil.test/",
        "https://hooks.test\\.evil.test/",
        "https://evil.test#@hooks.test/",
        "https://hooks.test@evil.test/",
        "https://user:word@hooks.test/",
        "https://@hooks.test/",
        "https://hooks.test#x",
        "https://evil.test/?hooks.test",
        "https://[bad",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://hooks.test./",
        "https://.hooks.test/",
        "https://hooks..test/",
        "https://x.hooks.test/",
        "https://hooks.test:444/",
        "https://hooks.test:0/",
        "https://hooks.test:99999/",
        "https://hooks.test:８４４３/",
        "https://other.test/",
        "https://hooks.test:/\t",
        "http://hooks.test/",
        "http://localhost/",
        "https://localhost:1/",
        "ftp://hooks.test/",
        "file:///etc/passwd",
        "gopher://hooks.test/",
        "javascript:alert(1)",
        "//hooks.test/",
        "https:hooks.test",
        "https:///x",
        "https://",
        "hooks.test",
        "",
        " https://hooks.test/",
        "https://hooks.test/ x",
        "https://hooks.test/\r\nHost: evil.test",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1/",
        "https://ｈooks.test/",
        "https://höoks.test/",
        "https://hooks。test/",
        "https://hooks.test%2eevil.test/",
        "https://hooks.test%00.evil.test/",
        "https://" + "a" * 70 + "\\@hooks.test/x",
        "https://" + "a" * 70 + ".test/",
        "mailto:evil@evil.test, x@hooks.test",
        "mailto:a\nBcc: x@hooks.test",
        "mailto:x@hooks.test?cc=evil@evil.test",
        "mailto:x@hooks.test\r\n",
        "mailto:<x@hooks.test>",
        'mailto:"a b"@hooks.test',
        "mailto:x@y@hooks.test",
        "mailto:@hooks.test",
        "mailto:x@HOOKS.TEST.",
        "mailto:x@höoks.test",
        "mailto:x",
        "mailto:",
        "mailto:x..y@hooks.test",
        "mailto:x@[127.0.0.1]",
        "mailto:%0aBcc@hooks.test",
        "sms:",
        "sms:+86\r\n12355",
        "sms:call me",
        "sms:１２３４５",
    ],
)
def test_bad_addresses(address):
    """BEY-15: whatever is more than one host and port of the list is refused.

    So is what would read otherwise to another reader; nothing else is ever raised.
    """
    with pytest.raises(addresses.NotAllowed):
        addresses.normal(told(), address)
    assert channels.send(told(), address, "s", NOTICE) == "not allowed here"


@pytest.mark.parametrize(
    "address, public",
    [
        ("8.8.8.8", True),
        ("114.114.114.114", True),
        ("2400:3200::1", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("172.31.255.255", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", False),
        ("::7f00:1", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("fd12::1", False),
        ("ff02::1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
        ("2001:db8::1", False),
    ],
)
def test_networks(address, public):
    """Only addresses that anybody can reach are public.

    Loopback, private, shared, link-local, reserved and multicast networks of both kinds are not,
    nor are addresses of IPv6 that stand for one of IPv4.
    """
    assert addresses.is_public(address) is public


class Silent(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), self.path, body))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()


def listen(tls: ssl.SSLContext | None = None) -> HTTPServer:
    """Start a web server on this machine; `got` are its requests, `names` the names asked for by TLS."""
    server = HTTPServer(("127.0.0.1", 0), Silent)
    server.got, server.status, server.headers, server.names = [], 204, {}, []
    if tls is not None:

        def note_name(sock, name, context):
            """Keep the name that the client asks for; to return nothing means to go on."""
            server.names.append(name)

        tls.sni_callback = note_name
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for the name localhost, and nothing else, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@pytest.fixture
def secure(certificate, local):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = listen(context)
    local(server.server_port)
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.rule("BEY-15")
def test_tls_is_verified_with_the_name(secure, certificate, monkeypatch):
    """BEY-15: the connection goes to the number that was checked, TLS and `Host` go by the name.

    The certificate is verified by the name, too.
    """
    address = f"https://localhost:{secure.server_port}/told?x=1"
    assert channels.send(told(), address, "s", NOTICE) == "no answer", "a certificate that nobody vouches for"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert channels.send(told(), address, "s", NOTICE) == ""
    headers, path, _ = secure.got[-1]
    assert headers["Host"] == f"localhost:{secure.server_port}"
    assert (path, headers["Tuanqiao-Id"]) == ("/told?x=1", "7:2")
    assert secure.names[-1] == "localhost"
    assert channels.send(told(), address.replace("localhost", "127.0.0.1"), "s", NOTICE) == "no answer", (
        "a certificate of another name"
    )
    assert len(secure.got) == 1


@pytest.mark.rule("BEY-15")
def test_names_that_lead_inside(secure, certificate, monkeypatch):
    """BEY-15: a name on the list that resolves to this machine is not connected to at all.

    Only the setting for development allows it.
    """
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.delenv("TUANQIAO_NOTICE_LOOPBACK")
    assert (
        channels.send(told(), f"https://localhost:{secure.server_port}/", "s", NOTICE) == "not allowed here"
    )
    assert secure.got == [] and secure.names == []


@pytest.mark.rule("BEY-15")
def test_the_name_is_looked_up_once(secure, certificate, monkeypatch):
    """BEY-15: a name that leads elsewhere at a second look-up (rebinding) changes nothing.

    There is no second one. A name that leads inside with any of its addresses is refused.
    """
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    real, asked = socket.getaddrinfo, []

    def rebinding(host, *args, **values):
        if host == "localhost":
            asked.append(host)
            where = "127.0.0.1" if len(asked) == 1 else "10.255.255.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, secure.server_port))]
        return real(host, *args, **values)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert channels.send(told(), f"https://localhost:{secure.server_port}/", "s", NOTICE) == ""
    assert asked == ["localhost"]
    assert (
        channels.send(told(), f"https://localhost:{secure.server_port}/", "s", NOTICE) == "not allowed here"
    )
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in ("8.8.8.8", "192.168.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **values: both)
    with pytest.raises(addresses.NotAllowed):
        addresses.resolve(told(), addresses.Target("https", "hooks.test", 443, "/"))


@pytest.mark.rule("BEY-15")
def test_redirects_are_not_followed(local):
    """BEY-15: an answer that points elsewhere is an answer that is not 2xx; nobody goes there."""
    first, second = listen(), listen()
    local(first.server_port, second.server_port)
    first.status, first.headers = 307, {"Location": f"http://127.0.0.1:{second.server_port}/inside"}
    assert channels.send(told(), f"http://127.0.0.1:{first.server_port}/", "s", NOTICE) == "HTTP 307"
    assert len(first.got) == 1 and second.got == []
    for server in (first, second):
        server.shutdown()
        server.server_close()


@pytest.mark.rule("BEY-15")
def test_ports_are_not_told_apart(local, monkeypatch):
    """BEY-15: closed, open to something else, open and silent: what is stored says the same of all.

    It is said in bounded time, however slowly the other side trickles.
    """
    monkeypatch.setattr(addresses, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(addresses, "WHOLE_SECONDS", 1.5)
    stop = threading.Event()

    def serve(listener, answer):
        while not stop.is_set():
            try:
                other, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(other,), daemon=True).start()

    def banner(other):
        with other:
            other.sendall(b"SSH-2.0-OpenSSH\r\n")

    def silence(other):
        with other:
            stop.wait(5)

    def trickle(other):
        with other:
            try:
                other.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.1):
                    other.sendall(b"X: y\r\n")
            except OSError:
                return

    # Three strangers that are not what the address says, and a port on which nobody listens.
    listeners, said, seconds = [], {}, {}
    for answer in (banner, silence, trickle):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, answer), daemon=True).start()
    closed = socket.create_server(("127.0.0.1", 0))
    ports = {
        "closed": closed.getsockname()[1],
        **{
            answer.__name__: listener.getsockname()[1]
            for answer, listener in zip((banner, silence, trickle), listeners, strict=True)
        },
    }
    closed.close()  # a port of which we know that it was free a moment ago
    local(*ports.values())
    for kind, port in ports.items():
        for scheme in ("http", "https"):
            started = time.monotonic()
            said[kind, scheme] = channels.send(told(), f"{scheme}://127.0.0.1:{port}/", "s", NOTICE)
            seconds[kind, scheme] = time.monotonic() - started
    stop.set()
    for listener in listeners:
        listener.close()
    assert set(said.values()) == {"no answer"}, said
    assert max(seconds.values()) < 3, seconds

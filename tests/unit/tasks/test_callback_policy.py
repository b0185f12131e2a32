"""Where callbacks may go: nowhere inside, however the address is written, and whatever its name says the second time."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.receiver import Receiver, receiving

from opsplane.errors import InvalidInput
from opsplane.tasks.callbacks import PUBLIC_ONLY, CallbackPolicy, CallbackRefused, post
from opsplane.tasks.callbacks.policy import Address, is_public
from opsplane.tasks.callbacks.post import Answer, Pinned, Post

PUBLIC = "93.184.215.14"
HEADERS = {"webhook-id": "1"}
TLS = httpx.create_ssl_context()

# what the text of a URL shows; refused when a task is created
WRITTEN = [
    "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/",
    "https://017700000001/", "https://0177.0.0.1/", "https://127.0.0.1./", "https://127.000.000.001/", "https://0/",
    "https://0.0.0.0/", "https://10.0.0.1/", "https://172.16.5.4/", "https://192.168.1.1/", "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/", "https://192.0.0.192/", "https://168.63.129.16/", "https://224.0.0.1/",
    "https://240.0.0.1/", "https://255.255.255.255/", "https://198.18.0.1/", "https://192.0.2.1/",
    "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::169.254.169.254]/", "https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/",
    "https://[2002:a00:1::1]/", "https://[2001:0:53aa:64c::1]/", "https://[fd00:ec2::254]/", "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/", "https://[ff02::1]/", "https://[fec0::1]/", "https://[2001:db8::1]/",
    "https://[2606:4700::1%25lo]/", "https://localhost/", "https://localhost./", "https://LOCALHOST/", "https://a.localhost/",
    "https://metadata/", "https://metadata.google.internal/", "https://printer.local/", "https://db.corp/",
    "https://①②⑦.0.0.1/", "https://127。0。0。1/", "https://ｌｏｃａｌｈｏｓｔ/", "https://exa%6dple.com/", "https://[::1/",
    "https://example.com@127.0.0.1/", "https://127.0.0.1@example.com/", "https://user:word@example.com/",
    "https://example.com\\@127.0.0.1/", "https://example.com\\.evil.com/", "https://127.0.0.1\\.example.com/",
    "https://example.com:22/", "https://example.com:0/", "https://example.com:/", "https://example.com:99999/",
    "https://example.com:8443/", "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/",
    "//example.com/", "example.com", "", "https://", "https:///path", " https://example.com/", "https://example.com/\r\nX: 1",
    "https://example.com/\t", "https://exam\tple.com/", "https://example.com/#part", "https://-.example.com/",
    "https://example..com/", "https://example.com/" + 2000 * "a",
]  # fmt: skip

# what only the name's addresses show; refused when it is delivered
RESOLVED = [
    ["127.0.0.1"], ["10.1.2.3"], ["169.254.169.254"], ["100.100.100.200"], ["0.0.0.0"], ["::1"], ["fe80::1"],
    ["fd00::1"], ["::ffff:10.0.0.1"], ["64:ff9b::a00:1"], ["2002:c0a8:101::1"], ["224.0.0.1"], ["168.63.129.16"],
    [PUBLIC, "10.0.0.1"], ["2606:4700::1", "::1"], ["10.0.0.1", PUBLIC],
]  # fmt: skip


class Network(httpcore.AsyncNetworkBackend):
    """The machine's network, of which only 127.0.0.1 is there; a name is looked up with `names`, as a system does."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.asked: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.asked.append(host)
        try:
            ip_address(host)
        except ValueError:
            host = str((await self.names(host, port))[0])
        if host != "127.0.0.1":
            raise httpcore.ConnectError("nobody is there")
        return await httpcore.AnyIOBackend().connect_tcp(host, port, timeout)


class Names:
    """A name server that gives these answers in turn, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(one) for one in answer]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


def allowing(receiver: Receiver, *allow: str) -> CallbackPolicy:
    return CallbackPolicy.of(http=True, ports=[receiver.port], allow=allow)


def poster(policy: CallbackPolicy, **options: Any) -> Post:
    return Post(policy, **{"tls": TLS, **options})


@pytest.mark.parametrize("url", WRITTEN)
def test_a_url_that_leads_inside_by_its_text_is_refused(url: str) -> None:
    with pytest.raises(CallbackRefused) as refused:
        PUBLIC_ONLY.target(url)
    assert refused.value.status == 400
    assert refused.value.violations[0]["pointer"] == "/callbackUrl"


@pytest.mark.parametrize("url", [url for url in WRITTEN if url.isascii() and url.startswith("https://")])
async def test_and_again_when_it_is_delivered_without_a_look_at_the_network(url: str) -> None:
    names = Names([PUBLIC])
    network = Network(names)
    answer = await poster(PUBLIC_ONLY, resolve=names, network=network)(url, HEADERS, b"{}")
    assert (answer.refused, answer.status, network.asked, names.asked) == (True, None, [], 0)


@pytest.mark.parametrize("url", [
    "https://example.com", "https://EXAMPLE.com/a?b=c", "https://example.com:443/", "https://93.184.215.14/",
    "https://[2606:4700::1111]/x", "https://[::ffff:93.184.215.14]/", "https://xn--bcher-kva.example/", "https://a_b.example.com/",
])  # fmt: skip
def test_public_ones_are_allowed(url: str) -> None:
    assert PUBLIC_ONLY.target(url).port == 443


@pytest.mark.parametrize("addresses", RESOLVED, ids=", ".join)
async def test_a_name_of_which_one_address_is_inside_is_not_connected_to(
    addresses: list[str], receiver: Receiver
) -> None:
    names = Names(addresses)
    network = Network(names)
    sent = poster(allowing(receiver), resolve=names, network=network)
    answer = await sent(f"http://example.com:{receiver.port}/", HEADERS, b"{}")
    assert (answer.refused, network.asked, receiver.received) == (True, [], [])
    assert "not a public address" in str(answer.error)


async def rebound(receiver: Receiver) -> tuple[Answer, Network]:
    """A name that was public when it was judged, and is this machine ever after."""
    names = Names([PUBLIC], ["127.0.0.1"])
    network = Network(names)
    sent = poster(allowing(receiver), resolve=names, network=network)
    return await sent(f"http://rebinding.example.com:{receiver.port}/", HEADERS, b"{}"), network


async def test_a_name_is_looked_up_once_and_only_the_judged_address_is_connected_to(
    receiver: Receiver,
) -> None:
    answer, network = await rebound(receiver)
    assert (answer.status, receiver.received) == (None, [])
    assert (network.asked, network.names.asked) == ([PUBLIC], 1)


async def test_planted_without_pinning_the_rebound_name_is_reached(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unpinned(Pinned):
        async def connect_tcp(self, host: str, *more: Any, **named: Any) -> Any:
            return await self._network.connect_tcp(host, *more, **named)

    monkeypatch.setattr(post, "Pinned", Unpinned)
    answer, network = await rebound(receiver)
    assert (answer.status, len(receiver.received)) == (200, 1)
    assert network.names.asked == 2


async def test_what_is_allowed_is_reached_and_named_as_it_is_called(receiver: Receiver) -> None:
    for allow, host in (
        ("127.0.0.0/8", "127.0.0.1"), ("127.0.0.1", "hooks.example.com"), ("hooks", "hooks"),
    ):  # fmt: skip
        names = Names(["127.0.0.1"])
        sent = poster(allowing(receiver, allow), resolve=names, network=Network(names))
        answer = await sent(f"http://{host}:{receiver.port}/a?b=c", HEADERS, b'{"a": 1}')
        assert answer == Answer(200)
        last = receiver.received[-1]
        assert (last.path, last.headers["host"]) == ("/a?b=c", f"{host}:{receiver.port}")
        assert (last.body, last.headers["webhook-id"]) == (b'{"a": 1}', "1")
    with pytest.raises(CallbackRefused):
        allowing(receiver, "hooks").target(f"http://other:{receiver.port}/")


async def test_the_next_address_is_tried_when_one_does_not_answer(receiver: Receiver) -> None:
    names = Names([PUBLIC, "127.0.0.1"])
    network = Network(names)
    sent = poster(allowing(receiver, "127.0.0.1"), resolve=names, network=network)
    assert (await sent(f"http://example.com:{receiver.port}/", HEADERS, b"")).status == 200
    assert network.asked == [PUBLIC, "127.0.0.1"]


async def test_redirects_are_not_followed_and_proxies_not_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as elsewhere:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, elsewhere.url)
        receiver.answers = [(307, {"Location": elsewhere.url})]
        answer = await poster(allowing(receiver, "127.0.0.1"))(receiver.url, HEADERS, b"{}")
        assert (answer.status, answer.error) == (307, "it answered 307; redirects are not followed")
        assert (len(receiver.received), elsewhere.received) == (1, [])


async def test_the_time_limit_holds_for_all_of_it_and_a_silent_receiver_is_an_answer(
    receiver: Receiver,
) -> None:
    receiver.delay = 5.0
    sent = poster(allowing(receiver, "127.0.0.1"), time_limit=0.2)
    assert (await sent(receiver.url, HEADERS, b"{}")).error == "no answer within 0.2 s"
    receiver.port += 1
    gone = poster(CallbackPolicy.of(http=True, ports=[receiver.port], allow=["127.0.0.1"]))
    assert "not reached: ConnectError" in str((await gone(receiver.url, HEADERS, b"{}")).error)


async def test_a_name_without_an_address_is_an_answer(receiver: Receiver) -> None:
    async def unknown(host: str, port: int) -> Sequence[Address]:
        raise OSError("no such name")

    answer = await poster(PUBLIC_ONLY, resolve=unknown)("https://example.com/", HEADERS, b"{}")
    assert answer == Answer(error="not reached: OSError")
    answer = await poster(PUBLIC_ONLY, resolve=Names([]))("https://example.com/", HEADERS, b"{}")
    assert answer == Answer(error="not reached: OSError")


@pytest.mark.parametrize(
    ("status", "text", "seconds"),
    [(429, "7", 7), (503, "120", 120), (500, "7", None), (503, "soon", None), (503, "-1", None), (429, "9" * 400, 999999999)],
)  # fmt: skip
async def test_retry_after_is_read(receiver: Receiver, status: int, text: str, seconds: float | None) -> None:
    receiver.answers = [(status, {"Retry-After": text})]
    answer = await poster(allowing(receiver, "127.0.0.1"))(receiver.url, HEADERS, b"{}")
    assert (answer.status, answer.retry_after) == (status, seconds)


async def test_retry_after_may_be_a_date(receiver: Receiver) -> None:
    at = datetime.now(UTC) + timedelta(seconds=90)
    receiver.answers = [(503, {"Retry-After": at.strftime("%a, %d %b %Y %H:%M:%S GMT")})]
    answer = await poster(allowing(receiver, "127.0.0.1"))(receiver.url, HEADERS, b"{}")
    assert 80 < (answer.retry_after or 0) <= 90


def certificate(directory: Path, name: str) -> Path:
    """A certificate for `name` with its key, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / f"{name}.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


async def test_the_certificate_must_be_the_name_s_although_an_address_is_connected_to(
    tmp_path: Path,
) -> None:
    pem = certificate(tmp_path, "hooks.example.com")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    asked: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with receiving(tls=server) as receiver:
        policy = CallbackPolicy.of(http=False, ports=[receiver.port], allow=["127.0.0.1"])
        sent = poster(policy, resolve=Names(["127.0.0.1"]), tls=ssl.create_default_context(cafile=str(pem)))
        answer = await sent(f"https://hooks.example.com:{receiver.port}/", HEADERS, b"{}")
        assert (answer, asked) == (Answer(200), ["hooks.example.com"])
        answer = await sent(f"https://other.example.com:{receiver.port}/", HEADERS, b"{}")
        assert "CERTIFICATE_VERIFY_FAILED" in str(answer.error)
        distrusting = poster(policy, resolve=Names(["127.0.0.1"]))
        answer = await distrusting(f"https://hooks.example.com:{receiver.port}/", HEADERS, b"{}")
        assert "CERTIFICATE_VERIFY_FAILED" in str(answer.error)
        assert len(receiver.received) == 1


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "127.1", "Hooks", "*.example.com", "0x7f.1", "http://a", ""])
def test_what_cannot_be_allowed_is_named(entry: str) -> None:
    with pytest.raises(InvalidInput, match=r"callbacks\.allow"):
        CallbackPolicy.of(http=False, ports=[443], allow=[entry])


def test_embedded_addresses_are_judged_by_what_is_inside() -> None:
    assert is_public(ip_address("64:ff9b::5db8:d70e"))
    assert is_public(ip_address("2002:5db8:d70e::1"))
    assert not is_public(ip_address("64:ff9b::a9fe:a9fe"))

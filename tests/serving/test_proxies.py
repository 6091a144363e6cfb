"""Who a request comes from, through a proxy or by TLS, as a real server sees it."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from fastapi import FastAPI, Request

from serving.http_server import configured, listen
from serving.settings import Settings

CHAIN = "127.0.0.1, 203.0.113.9"
"""What a caller at 203.0.113.9 makes of it that sends a loopback address of its own invention."""


@contextmanager
def echo(**settings: Any) -> Iterator[int]:
    """The port of a server that says whom it takes its caller for."""
    app = FastAPI()

    async def who(request: Request) -> list[str]:
        assert request.client is not None
        return [request.client.host, request.url.scheme]

    app.add_api_route("/", who)
    server = uvicorn.Server(configured(app, Settings(**settings)))
    with listen("127.0.0.1", 0) as listener:
        work = server.serve(sockets=[listener])
        thread = threading.Thread(target=lambda: asyncio.run(work))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.001)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [
        ([], ["127.0.0.1", "http"]),
        (["198.51.100.0/24"], ["127.0.0.1", "http"]),
        (["127.0.0.1"], ["203.0.113.9", "https"]),
        (["127.0.0.0/8", "::1"], ["203.0.113.9", "https"]),
    ],
)
def test_only_trusted_proxies_say_who_asks(
    trusted: list[str], seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own: the settings count
    headers = {"X-Forwarded-For": CHAIN, "X-Forwarded-Proto": "https"}
    with echo(trusted_proxies=trusted) as port:
        assert httpx.get(f"http://127.0.0.1:{port}", headers=headers).json() == seen


def test_a_certificate_makes_it_https(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    with echo(tls_certificate=certificate, tls_key=key) as port:
        trusting = ssl.create_default_context(cafile=certificate)
        url = f"https://127.0.0.1:{port}"
        assert httpx.get(url, verify=trusting).json() == ["127.0.0.1", "https"]
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            httpx.get(url)


def test_a_certificate_of_no_use_is_refused_with_its_name(tmp_path: Path) -> None:
    certificate, _ = _certificate(tmp_path)
    with pytest.raises(OSError, match=r"certificate .*one\.pem with the key .*one\.pem cannot be"):
        configured(FastAPI(), Settings(tls_certificate=certificate))
    with pytest.raises(ValueError, match="set both"):
        Settings(tls_key=certificate)
    with pytest.raises(ValueError, match="in front"):
        Settings(engine="ray", tls_certificate=certificate)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """For 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "perennial")])
    now = datetime.now(UTC)
    place = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(place, critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.joinpath("one.pem").write_bytes(made.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    folder.joinpath("key.pem").write_bytes(secret)
    return folder / "one.pem", folder / "key.pem"

"""An end that speaks TLS, before a service that does not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.support.tcp_proxy import TcpProxy


@dataclass(frozen=True)
class TlsEnd:
    """Something before an event-service that speaks TLS, as a load balancer does."""

    port: int
    certificate: bytes


@contextlib.asynccontextmanager
async def tls_end_before(target: str, folder: Path) -> AsyncIterator[TlsEnd]:
    """Run one for `localhost`, with a certificate of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    pair = folder / "pair.pem"
    pair.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair)
    context.set_alpn_protocols(["h2"])
    host, _, port = target.rpartition(":")
    server = await asyncio.start_server(TcpProxy(host, int(port)).serve, "127.0.0.1", 0, ssl=context)
    try:
        yield TlsEnd(server.sockets[0].getsockname()[1], certificate)
    finally:
        server.close()

"""`python -m harkara_client.outbox`: `relay` runs one until it is told to stop, `schema` prints the SQL."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import ssl
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
import psycopg

from harkara_client.emitter import Emitter
from harkara_client.outbox.relay import Relay
from harkara_client.outbox.schema import schema_sql
from harkara_client.tokens import Token


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harkara_client.outbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    relay = commands.add_parser("relay", help="emit what is in the outbox, until SIGTERM or SIGINT")
    relay.add_argument(
        "--dsn",
        default="",
        help="the database, as libpq takes it; without it the PG… variables say which. No password here:"
        " others on the machine see it. PGSERVICE and PGPASSFILE name files that hold it",
    )
    relay.add_argument(
        "--targets", required=True, help="where Emit is answered: host:port, several with commas"
    )
    relay.add_argument(
        "--tls", action="store_true", help="Emit is behind TLS; trust the system's certificates"
    )
    relay.add_argument(
        "--ca-file", type=Path, help="with --tls: the certificates to trust instead of the system's, as PEM"
    )
    relay.add_argument(
        "--token-file",
        type=Path,
        help="a file with the service's token, of mode 0600, read again as needed; else HARKARA_TOKEN",
    )
    relay.add_argument("--schema", default="public", help="where the outbox is (public)")
    relay.add_argument(
        "--poll-seconds", type=float, default=1.0, help="how often to look where nothing is notified (1)"
    )
    schema = commands.add_parser("schema", help="print the SQL that makes the outbox")
    schema.add_argument("--schema", default="public", help="where to make it (public)")
    schema.add_argument("--no-notify", action="store_true", help="let the relay poll only")
    return parser


def _fault_of(token_file: Path) -> str | None:
    """Why this is no file for a secret."""
    try:
        mode = stat.S_IMODE(token_file.stat().st_mode)
    except OSError as error:
        return error.strerror or "cannot be read"
    return f"others may read it: its mode is {mode:04o}, use 0600" if mode & 0o077 else None


def _fault_of_certificates(ca_file: Path) -> str | None:
    """Why this is no file of certificates; gRPC would not say so, and only never connect."""
    try:
        ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        return "holds no certificate as PEM"
    except OSError as error:
        return error.strerror or "cannot be read"
    return None


def _misuse(options: argparse.Namespace, token: Token) -> str | None:
    """Why the relay cannot run with these."""
    if not token:
        return "no token: give --token-file, or set HARKARA_TOKEN"
    if options.token_file and (fault := _fault_of(options.token_file)):
        return f"{options.token_file}: {fault}"
    if options.ca_file and not options.tls:
        return "--ca-file: it needs --tls"
    if options.ca_file and (fault := _fault_of_certificates(options.ca_file)):
        return f"{options.ca_file}: {fault}"
    return None


def _credentials(options: argparse.Namespace) -> grpc.ChannelCredentials | None:
    if not options.tls:
        return None
    return grpc.ssl_channel_credentials(options.ca_file.read_bytes() if options.ca_file else None)


async def _relay(options: argparse.Namespace, token: Token) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    targets = options.targets.split(",")
    async with Emitter(targets, token=token, timeout=None, credentials=_credentials(options)) as emitter:
        relay = Relay(options.dsn, emitter, schema=options.schema, poll_seconds=options.poll_seconds)
        running = asyncio.create_task(relay.run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if running.done():
            running.result()
        # What is on its way stays in the outbox, and goes again with the same ids.
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await emitter.close(timeout=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.command == "schema":
        sys.stdout.write(schema_sql(options.schema, notify=not options.no_notify))
        return 0
    token = options.token_file or os.environ.get("HARKARA_TOKEN", "")
    if misuse := _misuse(options, token):
        sys.stderr.write(f"{misuse}\n")
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(_relay(options, token))
    except psycopg.Error as error:
        sys.stderr.write(f"the outbox cannot be used: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

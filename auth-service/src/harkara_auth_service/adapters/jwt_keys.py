"""The keys that verify tokens, with PyJWT's algorithms: our own HS256 key, and those of a JWKS.

A JWKS comes from a file, read again when it changed, or from a URL, read again every few minutes and, at most
every ten seconds, when a token names a key that we do not have. A source that cannot be read, or holds no
usable key, changes nothing: its last keys stay. Where two sources name a key alike, the file's is meant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.algorithms import Algorithm, HMACAlgorithm
from jwt.exceptions import PyJWTError

from harkara_auth_service.adapters.watched_file import WatchedFile
from harkara_auth_service.domain.errors import KeysUnavailableError
from harkara_auth_service.domain.key_rules import (
    BadKeysError,
    PublicKeyEntry,
    read_key_set,
)
from harkara_auth_service.domain.token_rules import KeySource
from harkara_auth_service.metrics import Metrics

if TYPE_CHECKING:
    from harkara_auth_service.adapters.key_set_url import KeySetUrl

LOOK_SECONDS: Final = 1.0
AGAIN_SECONDS: Final = 10.0
"""How long after a reading of the URL an unknown key id causes no other."""
RSA_BITS: Final = range(2048, 8193)

_SHARED_ALGORITHM: Final = "HS256"
_log = structlog.get_logger()


class _Key:
    """A `VerificationKey`."""

    __slots__ = ("_algorithm", "_key", "source")

    def __init__(self, algorithm: Algorithm, key: object, source: KeySource) -> None:
        self._algorithm = algorithm
        self._key = key
        self.source = source

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        return self._algorithm.verify(signing_input, self._key, signature)


class JwtKeys:
    """A `KeyRing`.

    Args:
        shared_key: our HS256 key, or None.
        file: a JWKS, or None.
        url: a JWKS, or None.
        monotonic: seconds that never go back.
        metrics: what is counted.
    """

    def __init__(
        self,
        *,
        shared_key: bytes | None,
        file: WatchedFile | None,
        url: KeySetUrl | None,
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._shared = (
            None
            if shared_key is None
            else _Key(HMACAlgorithm(HMACAlgorithm.SHA256), shared_key, KeySource.OWN)
        )
        self._file = file
        self._url = url
        self._monotonic = monotonic
        self._metrics = metrics
        self._from_file: tuple[PublicKeyEntry, ...] = ()
        self._from_url: tuple[PublicKeyEntry, ...] = ()
        self._by_id: dict[tuple[str, str | None], _Key] = {}
        self._only: dict[str, _Key] = {}
        self._generation = 0
        self._failing: set[str] = set()
        self._url_read_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        metrics.keys.labels("own").set(0 if shared_key is None else 1)

    @property
    def generation(self) -> int:
        """As the port says."""
        return self._generation

    @property
    def loaded(self) -> bool:
        """Whether every source was read at least once."""
        return not ((self._file and not self._from_file) or (self._url and not self._from_url))

    def find(self, algorithm: str, key_id: str | None) -> _Key | None:
        """As the port says."""
        if algorithm == _SHARED_ALGORITHM:
            # The shared key has no id: a token that names one means another key.
            return self._shared if key_id is None else None
        if key_id is None:
            return self._only.get(algorithm)
        return self._by_id.get((algorithm, key_id))

    async def look_again(self, algorithm: str) -> None:
        """As the port says."""
        if self._url is None or algorithm == _SHARED_ALGORITHM:
            return
        lately = self._url_read_at is not None and self._monotonic() - self._url_read_at < AGAIN_SECONDS
        if self._reading is not None or not lately:
            await asyncio.shield(self._read_url_once())
        if not self._from_url:
            raise KeysUnavailableError

    def read_file(self) -> None:
        """Read the file if it changed.

        Raises:
            OSError: it cannot be read.
            BadKeysError: it holds no usable key.
        """
        content = self._file.read_if_changed() if self._file else None
        if content is not None:
            self._from_file = self._usable("file", content)
            self._rebuild()

    async def run(self) -> None:
        """Keep the keys current, for ever."""
        while True:
            try:
                self.read_file()
                self._failing.discard("file")
            except (OSError, BadKeysError) as error:
                self._report("file", error.strerror if isinstance(error, OSError) else str(error))
            if self._url is not None and self._url_is_due(self._url):
                await asyncio.shield(self._read_url_once())
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        """Let go of the URL's connections."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._url is not None:
            await self._url.close()

    def _url_is_due(self, url: KeySetUrl) -> bool:
        if self._url_read_at is None:
            return True
        # Without any key of it, every token of its issuer is turned away: try hard.
        seconds = url.refresh_seconds if self._from_url else LOOK_SECONDS
        return self._monotonic() - self._url_read_at >= seconds

    def _read_url_once(self) -> asyncio.Task[None]:
        """The reading that is under way, or a new one."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_url())
        return self._reading

    async def _read_url(self) -> None:
        assert self._url is not None  # noqa: S101 - for the type checker: both callers looked.
        self._url_read_at = self._monotonic()
        try:
            entries = self._usable("url", await self._url.fetch())
            self._failing.discard("url")
            if entries != self._from_url:
                self._from_url = entries
                self._rebuild()
        except BadKeysError as error:
            self._report("url", str(error))
        finally:
            self._reading = None

    def _usable(self, source: str, content: bytes) -> tuple[PublicKeyEntry, ...]:
        """The keys that `content` holds; raises BadKeysError where there are none."""
        key_set = read_key_set(content)
        entries = tuple(entry for entry in key_set.entries if _make(entry) is not None)
        unmade = len(key_set.entries) - len(entries)
        if key_set.left_out or unmade:
            _log.warning("keys_left_out", source=source, reasons=key_set.left_out, broken=unmade)
        if not entries:
            message = "no usable key"
            raise BadKeysError(message)
        self._metrics.key_set_reads.labels(source, "ok").inc()
        return entries

    def _rebuild(self) -> None:
        by_id: dict[tuple[str, str | None], _Key] = {}
        of_algorithm: dict[str, list[_Key]] = {}
        for entry in (*self._from_file, *self._from_url):
            key = _make(entry)
            if key is None or (entry.key_id is not None and (entry.algorithm, entry.key_id) in by_id):
                continue
            by_id[entry.algorithm, entry.key_id] = key
            of_algorithm.setdefault(entry.algorithm, []).append(key)
        self._by_id = by_id
        self._only = {algorithm: keys[0] for algorithm, keys in of_algorithm.items() if len(keys) == 1}
        self._generation += 1
        self._metrics.keys.labels("file").set(len(self._from_file))
        self._metrics.keys.labels("url").set(len(self._from_url))

    def _report(self, source: str, reason: str | None) -> None:
        self._metrics.key_set_reads.labels(source, "failed").inc()
        if source not in self._failing:
            _log.warning("key_set_unreadable", source=source, reason=reason)
            self._failing.add(source)


def _make(entry: PublicKeyEntry) -> _Key | None:
    """The key that an entry describes, or None where its numbers are no such key."""
    try:
        jwk = PyJWK(entry.members, algorithm=entry.algorithm)
    except (PyJWTError, ValueError):
        return None
    if isinstance(jwk.key, RSAPublicKey) and jwk.key.key_size not in RSA_BITS:
        return None
    return _Key(jwk.Algorithm, jwk.key, KeySource.KEY_SET)

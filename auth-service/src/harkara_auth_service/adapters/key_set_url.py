"""Fetches a JWKS over HTTP. Imported only where a URL is set: httpx takes a fifth of a start to import."""

from __future__ import annotations

import asyncio
from typing import Final

import httpx

from harkara_auth_service.domain.key_rules import MAX_KEY_SET_BYTES, BadKeysError

FETCH_SECONDS: Final = 2.0


class KeySetUrl:
    """A JWKS behind a URL.

    Args:
        url: where it is; redirections are not followed.
        refresh_seconds: how often it is read.
    """

    def __init__(self, url: str, refresh_seconds: float) -> None:
        self.refresh_seconds = refresh_seconds
        self._url = url
        # Not compressed: then what is counted below is what arrived.
        self._client = httpx.AsyncClient(
            timeout=FETCH_SECONDS, follow_redirects=False, headers={"accept-encoding": "identity"}
        )

    async def fetch(self) -> bytes:
        """The document.

        Raises:
            BadKeysError: it was not to be had, in time and in size; the text says why.
        """
        content = bytearray()
        try:
            async with asyncio.timeout(FETCH_SECONDS), self._client.stream("GET", self._url) as response:
                if response.status_code != httpx.codes.OK:
                    message = f"status {response.status_code}"
                    raise BadKeysError(message)
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > MAX_KEY_SET_BYTES:
                        break
        except (httpx.HTTPError, TimeoutError) as error:
            raise BadKeysError(type(error).__name__) from None
        return bytes(content)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

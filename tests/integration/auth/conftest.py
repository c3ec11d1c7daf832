"""The real service on a real database."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from harkara_auth_service.settings import AuthServiceSettings
from tests.support.auth_service import AuthService, auth_settings, running_auth_service
from tests.support.postgres import Database

MakeSettings = Callable[..., AuthServiceSettings]


@pytest.fixture
def make_settings(database: Database, tmp_path: Path) -> MakeSettings:
    """Settings on the test's database; keywords override."""

    def make(**more: object) -> AuthServiceSettings:
        return auth_settings(tmp_path, database.dsn_for("harkara_auth_service"), **more)

    return make


@pytest.fixture
async def service(make_settings: MakeSettings) -> AsyncIterator[AuthService]:
    """A running, ready service."""
    async with running_auth_service(make_settings()) as service:
        yield service

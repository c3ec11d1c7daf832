"""One mesh for all tests of a worker that need the whole of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mesh import Mesh, running_mesh


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """The whole mesh; tests share it, so each uses users of its own."""
    folder: Path = tmp_path_factory.mktemp("mesh")
    with running_mesh(folder / "data") as (mesh, _):
        yield mesh

"""What every test of this folder may ask for: a mesh to hurt, a load on it, and a seed.

Not part of a plain `./harkara test`: run `./harkara test --faults`. A test that fails keeps its history.

Marked `ci` is the cheapest selection that has every kind of fault: kill, freeze, failpoint, bad network,
Postgres at its limits, full disk, identity, duplicates, rolling restart, a random mixture, NATS away,
replicas. It is to take 3.5 minutes on 2 cores, so that it stays below 5 on a slow day: see `--durations=0`
before adding to it.
"""

from __future__ import annotations

import json
import os
import platform
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.faults.checker import Verdict
from tests.support.faults.load import Load, Shape, running_load
from tests.support.faults.mesh import FaultMesh, fault_mesh

_USUAL = Shape()
_FAILED = pytest.StashKey[bool]()
_FIGURES = pytest.StashKey[list[dict[str, object]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed",
        type=int,
        default=None,
        help="Of everything random in the fault suite; printed, else random.",
    )
    parser.addoption(
        "--figures",
        default=None,
        metavar="FILE",
        help="Measure the figures of docs/reliability.md instead, and write them to FILE as JSON.",
    )
    parser.addoption(
        "--soak-minutes", type=float, default=15.0, help="How long the soak of the figures takes; 15."
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ci: of the selection of the fault suite that every change must pass")
    config.addinivalue_line("markers", "figures: measures a figure of docs/reliability.md")
    config.stash[_FIGURES] = []
    if config.getoption("--seed") is None:
        config.option.seed = random.SystemRandom().randrange(1_000_000)


def pytest_report_header(config: pytest.Config) -> str:
    return f"faults: --seed {config.getoption('--seed')}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Figures are measured where they are asked for, and then nothing else is done."""
    wanted = config.getoption("--figures") is not None
    chosen = [item for item in items if (item.get_closest_marker("figures") is not None) is wanted]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def pytest_sessionfinish(session: pytest.Session) -> None:
    path, figures = session.config.getoption("--figures"), session.config.stash[_FIGURES]
    if path is not None:
        whole = {
            "seed": session.config.getoption("--seed"),
            "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
            "figures": figures,
        }
        Path(path).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        item.stash[_FAILED] = True
    return report


class Faults:
    """One test's mesh, load and folder.

    Attributes:
        seed: Of this test.
        rng: Seeded with it.
        folder: Of its mesh and its histories.
        soak_minutes: How long the soak of the figures takes.
    """

    def __init__(self, seed: int, name: str, folder: Path, config: pytest.Config) -> None:
        self.seed = seed
        self.rng = random.Random(f"{seed} {name}")  # noqa: S311 - to be repeated.
        self._name = name
        self.folder = folder
        self.soak_minutes: float = config.getoption("--soak-minutes")
        self._figures = config.stash[_FIGURES]
        capture = config.pluginmanager.get_plugin("capturemanager")
        assert capture is not None
        self._uncaptured = capture.global_and_fixture_disabled
        self._began = time.monotonic()

    def rng_of(self, number: int) -> random.Random:
        """One of its own for each of those that draw side by side: else their order would be chance."""
        return random.Random(f"{self.seed} {self._name} {number}")  # noqa: S311 - to be repeated.

    def say(self, what: str) -> None:
        """Tell people what is done now."""
        with self._uncaptured():
            print(f"\n  {time.monotonic() - self._began:5.1f} s  {what}", end="", flush=True)  # noqa: T201

    def figure(self, name: str, **values: float) -> None:
        """Keep a figure for the file, and show it."""
        rounded = {key: round(value, 3) for key, value in values.items()}
        self._figures.append({"name": name, **rounded})
        self.say(f"FIGURE {name}: " + ", ".join(f"{key} {value:g}" for key, value in rounded.items()))

    def mesh(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        disk_megabytes: int | None = None,
    ) -> AbstractContextManager[FaultMesh]:
        """A mesh of the test's own."""
        return fault_mesh(self.folder, *arguments, environment=environment, disk_megabytes=disk_megabytes)

    @asynccontextmanager
    async def load(self, mesh: FaultMesh, shape: Shape = _USUAL) -> AsyncIterator[Load]:
        """Clients that are connected, and emitters."""
        await mesh.all_are_back()  # Of what the test before did to it.
        async with running_load(mesh, shape, self.folder, self.rng, self.say) as load:
            self.say(f"{shape.users * shape.clients_each} clients are connected; {shape.rate:g} Emit/s")
            load.start_emitting()
            yield load

    async def clean(self, load: Load) -> Verdict:
        """End a load, and fail unless nothing was lost, invented, leaked, repeated, reordered or left out."""
        verdict = await load.end()
        assert verdict.emitted > 0
        assert verdict.ok + verdict.unknown > 0
        assert verdict.is_clean, f"{verdict.summary()}\n{verdict.examples()}\nhistory: {self.folder}"
        assert verdict.unknown == 0, f"{verdict.unknown} events were never answered; history: {self.folder}"
        return verdict


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """See `Faults`; its folder stays where the test fails."""
    folder = Path(tempfile.mkdtemp(prefix="harkara-faults-"))
    faults = Faults(request.config.getoption("--seed"), request.node.name, folder, request.config)
    yield faults
    if request.node.stash.get(_FAILED, False):
        shutil.rmtree(folder / "data", ignore_errors=True)
        faults.say(f"seed {faults.seed}; history and logs: {folder}")
        for mesh in request.node.funcargs.values():
            if isinstance(mesh, FaultMesh):  # Its folder is not the test's.
                faults.say(f"log of the mesh: {mesh.log}")
    else:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultMesh]:
    """One mesh with two edge workers for all tests that need none of their own."""
    with fault_mesh(tmp_path_factory.mktemp("mesh"), "--edge-workers", "2") as mesh:
        yield mesh


@pytest.fixture(scope="session")
def replicated_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultMesh]:
    """One mesh with two event-services and two edge workers, likewise."""
    arguments = ("--replicas", "2", "--edge-workers", "2")
    with fault_mesh(tmp_path_factory.mktemp("replicated-mesh"), *arguments) as mesh:
        yield mesh

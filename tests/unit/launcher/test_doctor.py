"""What `doctor` finds where no mesh is needed."""

import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from harkara_cli.data_dir import ROOT, DataDir
from harkara_cli.doctor import database, machine, mesh
from harkara_cli.doctor.database import Facts
from harkara_cli.doctor.findings import Finding, findings_of, ok
from harkara_cli.tokens import DAY_SECONDS
from harkara_schema.version import HEAD_REVISION

GOOD = Facts(
    "18.4",
    180_004,
    fsync=True,
    full_page_writes=True,
    synchronous_commit=True,
    connections=197,
    connected=10,
    size=2**20,
)


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    """The folder of a mesh that once ran."""
    data = DataDir(tmp_path / "data")
    data.make()
    data.make_secrets()
    return data


def verdicts(found: Iterable[Finding]) -> dict[str, str]:
    return {finding.name: finding.verdict for finding in found}


def test_whatever_a_check_raises_is_a_finding_and_the_others_are_made() -> None:
    def broken() -> Iterator[Finding]:
        yield ok("first", "well")
        raise KeyError("boom\nand more")

    found = list(findings_of([("a", broken), ("b", lambda: [ok("last", "well")])]))
    assert [finding.verdict for finding in found] == ["ok", "fail", "ok"]
    assert found[1].name == "a"
    assert found[1].found.startswith("cannot be checked: ")
    assert "\n" not in found[1].found


def test_what_is_not_good_comes_with_what_to_do() -> None:
    found = [
        *machine.python((3, 10, 1)),
        *machine.open_files(100),
        *machine.open_files(1_024),
        machine.disk(2**20),
        machine.disk(2**30),
        mesh.clock("edge", 3.0),
        mesh.clock("edge", -60.0),
        database.tables(None),
        database.tables("0001"),
        database.tables("9999"),
    ]
    assert [finding.verdict for finding in found] == [
        *("fail", "fail", "warn", "fail", "warn", "warn", "fail", "fail", "fail", "warn")
    ]
    assert all(finding.remedy for finding in found)


def test_what_is_good_needs_nothing() -> None:
    found = [
        *machine.python((3, 11, 0)),
        *machine.open_files(65_536),
        *machine.open_files(-1),
        machine.disk(2**40),
        mesh.clock("edge", 0.2),
        database.tables(HEAD_REVISION),
        *database.of_facts(GOOD),
    ]
    assert {finding.verdict for finding in found} == {"ok"}
    assert not any(finding.remedy for finding in found)


@pytest.mark.parametrize(
    ("facts", "name", "verdict"),
    [
        (GOOD._replace(version_number=140_010), "database", "fail"),
        (GOOD._replace(fsync=False), "durability", "fail"),
        (GOOD._replace(full_page_writes=False), "durability", "fail"),
        (GOOD._replace(synchronous_commit=False), "durability", "fail"),
        (GOOD._replace(connected=190), "connections", "warn"),
    ],
)
def test_a_postgres_that_is_old_unsafe_or_full_is_told(facts: Facts, name: str, verdict: str) -> None:
    found = verdicts(database.of_facts(facts))
    assert {other: told for other, told in found.items() if told != "ok"} == {name: verdict}


def test_versions_are_compared_with_the_constraints_whatever_their_names_spelling(tmp_path: Path) -> None:
    assert verdicts(machine.packages(ROOT / "constraints.txt")) == {"packages": "ok"}
    file = tmp_path / "constraints.txt"
    file.write_text("# note\nTyper==0.0.1\npydantic_core==0.0.2  # why\nnot-there==1\n")
    (found,) = machine.packages(file)
    assert found.verdict == "warn"
    assert "(not 0.0.1)" in found.found
    assert "(not 0.0.2)" in found.found
    assert list(machine.packages(tmp_path / "none")) == []


def test_the_secrets_of_a_mesh_are_good(data: DataDir) -> None:
    assert verdicts(machine.secrets(data)) == {"secrets": "ok", "key": "ok", "credentials": "ok"}
    assert verdicts(machine.folder(data))["data folder"] == "ok"


def test_a_secret_that_others_may_read_is_named(data: DataDir) -> None:
    data.credential_file("edge").chmod(0o644)
    found = {finding.name: finding for finding in machine.secrets(data)}
    assert found["secrets"].verdict == "fail"
    assert "edge.token" in found["secrets"].found
    assert found["secrets"].remedy == f"chmod 600 {data.secrets}/*"


def test_a_key_that_is_too_short_is_told_without_a_part_of_it(data: DataDir) -> None:
    data.key_file.write_text("c2hvcnQ\n")
    found = {finding.name: finding for finding in machine.secrets(data)}
    assert found["key"].verdict == "fail"
    assert "c2hvcnQ" not in str(found)


def test_a_credential_that_is_gone_anothers_or_at_its_end_is_told(data: DataDir) -> None:
    year = 365 * DAY_SECONDS
    now = time.time()
    assert verdicts(machine.secrets(data, now + year - 2 * DAY_SECONDS))["token of edge"] == "warn"
    assert verdicts(machine.secrets(data, now + year + 60))["token of edge"] == "fail"
    data.credential_file("edge").unlink()
    data.credential_file("operator").write_text("no token")
    found = verdicts(machine.secrets(data))
    assert (found["token of edge"], found["token of operator"]) == ("fail", "fail")
    assert "credentials" not in found


def test_a_folder_that_is_open_to_others_or_not_there_is_told(data: DataDir, tmp_path: Path) -> None:
    data.path.chmod(0o755)
    assert verdicts(machine.folder(data))["data folder"] == "warn"
    assert verdicts(machine.folder(DataDir(tmp_path / "none"))) == {"data folder": "warn"}
    assert stat.S_IMODE(data.path.stat().st_mode) == 0o755  # It looks, and changes nothing.


def test_our_own_process_began_before_now() -> None:
    started = mesh.process_start(os.getpid())
    assert started is not None
    assert started < time.time() + 1
    assert mesh.process_start(0) is None

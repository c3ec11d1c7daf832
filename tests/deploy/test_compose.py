"""docker-compose.yml and the Dockerfiles agree with the code, and old builders can read them."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate import SERVICES, settings_class, settings_of
from harkara_schema.logins import LOGINS
from harkara_servicekit.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))
BUILT = [*SERVICES, "migrate"]
DOCKERFILES = {name: ROOT / COMPOSE["services"][name]["build"]["dockerfile"] for name in BUILT}
IMAGE_USER = "10001"


def environment_of(name: str) -> dict[str, str]:
    """A service's variables, with the defaults of those that docker-compose fills in."""
    given: dict[str, str] = COMPOSE["services"][name]["environment"]
    return {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for key, value in given.items()}


def instructions_of(name: str) -> list[tuple[str, str]]:
    """A Dockerfile's instructions and what follows each; lines joined, comments dropped."""
    text = DOCKERFILES[name].read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word.upper(), rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def sources_of(name: str) -> list[str]:
    """What a Dockerfile copies out of the checkout."""
    copies = [rest.split() for word, rest in instructions_of(name) if word in {"COPY", "ADD"}]
    return [source for parts in copies if not parts[0].startswith("--from=") for source in parts[:-1]]


def needed_by(folder: str) -> set[str]:
    """A member's folder and those of the members that it depends on, whatever the depth."""
    folder_of = {
        tomllib.loads(path.read_text(encoding="utf-8"))["project"]["name"]: str(path.parent.relative_to(ROOT))
        for path in (*ROOT.glob("*/pyproject.toml"), *ROOT.glob("clients/*/pyproject.toml"))
    }
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[^a-z0-9-]", name, maxsplit=1)[0] for name in project["dependencies"]]
    return {folder}.union(*(needed_by(folder_of[name]) for name in names if name in folder_of))


def test_docker_compose_takes_the_file() -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed")
    done = subprocess.run(  # noqa: S603 - which() found it.
        [program, "--file", str(COMPOSE_FILE), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_file_says_nothing_that_only_newer_docker_composes_know() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"services", "volumes", "secrets"}


def test_the_mesh_is_postgres_a_migration_and_the_four_services() -> None:
    assert set(COMPOSE["services"]) == {"postgres", "migrate", *SERVICES}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_told_what_it_can_be_told_and_all_it_requires(service: str) -> None:
    settings = settings_of(service)
    given = environment_of(service)
    assert given.keys() <= settings.keys()
    assert {name for name, field in settings.items() if field.is_required()} <= given.keys()
    prefix = settings_class(service).env_prefix
    read: ServiceSettings = settings_class(service).model_validate(
        {name.removeprefix(prefix).lower(): value for name, value in given.items()}
    )
    # Whoever calls it is in another container.
    assert read.model_dump()["listen_address"].startswith("0.0.0.0:")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_reached_and_asked_for_its_health_where_it_listens(service: str) -> None:
    prefix = settings_class(service).env_prefix
    given = environment_of(service)
    entry = COMPOSE["services"][service]
    port = given[f"{prefix}LISTEN_ADDRESS"].rpartition(":")[2]
    # Published to this machine only: in front of it belongs something that speaks TLS.
    assert entry["ports"] == [f"127.0.0.1:{port}:{port}"]
    ops_port = given[f"{prefix}OPS_ADDRESS"].rpartition(":")[2]
    assert f"http://127.0.0.1:{ops_port}/readyz" in entry["healthcheck"]["test"][-1]
    assert entry["healthcheck"]["test"][0] == "CMD"
    default = settings_class(service).model_fields["ops_address"].default
    assert ops_port == str(default).rpartition(":")[2]


def test_every_target_is_a_service_of_the_file_at_its_port() -> None:
    listening = {
        f"{service}:{value.rpartition(':')[2]}"
        for service in SERVICES
        for name, value in environment_of(service).items()
        if name.endswith("_LISTEN_ADDRESS")
    }
    targets = {
        value
        for service in SERVICES
        for name, value in environment_of(service).items()
        if name.endswith(("_TARGET", "_TARGETS"))
    }
    assert targets
    assert targets <= listening


def test_what_needs_postgres_waits_for_the_migration() -> None:
    for service in SERVICES:
        waits = COMPOSE["services"][service]["depends_on"]
        if any("POSTGRES_DSN" in name for name in environment_of(service)):
            assert waits["migrate"] == {"condition": "service_completed_successfully"}
        else:
            assert waits["event-service"] == {"condition": "service_healthy"}
    assert COMPOSE["services"]["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert COMPOSE["services"]["migrate"]["restart"] == "no"


def test_every_secret_is_a_file_and_mounted_where_it_is_named_and_nowhere_else() -> None:
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"deploy/secrets/{name}"}
    used: set[str] = set()
    for name in ("postgres", *BUILT):
        mounted = set(COMPOSE["services"][name]["secrets"])
        named = set(
            re.findall(r"/run/secrets/([\w.-]+)", json.dumps(COMPOSE["services"][name]["environment"]))
        )
        if name == "migrate":  # It is told the folder, and looks for these.
            named |= {f"postgres-{login}.password" for login in LOGINS}
        assert mounted == named, name
        used |= mounted
    assert used == set(COMPOSE["secrets"])


def test_no_secret_stands_in_an_environment() -> None:
    for name in ("postgres", *BUILT):
        for variable, value in environment_of(name).items():
            assert not re.search(r"://[^/@]*:[^/@]*@", value), variable
            if "PASSWORD" in variable or variable.endswith("_DSN"):
                assert "/run/secrets" in value, variable


def test_no_service_runs_as_root_or_may_become_more_than_it_is() -> None:
    for name in BUILT:
        entry = COMPOSE["services"][name]
        assert entry["user"] == f"${{HARKARA_UID:-{IMAGE_USER}}}:${{HARKARA_GID:-{IMAGE_USER}}}"
        assert entry["read_only"] is True
        assert entry["cap_drop"] == ["ALL"]
        assert entry["security_opt"] == ["no-new-privileges:true"]


def test_an_orderly_stop_is_given_its_time_and_a_drain_before_it() -> None:
    for service in SERVICES:
        fields = settings_class(service).model_fields
        needed = sum(fields[name].default for name in ("drain_seconds", "shutdown_seconds") if name in fields)
        assert float(COMPOSE["services"][service]["stop_grace_period"].removesuffix("s")) > needed


@pytest.mark.parametrize("name", BUILT)
def test_a_dockerfile_needs_no_buildkit(name: str) -> None:
    text = DOCKERFILES[name].read_text(encoding="utf-8")
    assert not re.match(r"#\s*(syntax|escape|check)\s*=", text)
    assert "<<" not in text
    for word, rest in instructions_of(name):
        flags = (
            [part for part in rest.split() if part.startswith("--")]
            if word != "RUN"
            else re.findall(r"^--\w+", rest)
        )
        assert all(flag.startswith("--from=") for flag in flags), f"{word} {rest}"
    build = COMPOSE["services"][name]["build"]
    assert build == {"context": ".", "dockerfile": DOCKERFILES[name].relative_to(ROOT).as_posix()}


@pytest.mark.parametrize("name", BUILT)
def test_a_dockerfile_copies_what_is_there_and_what_it_needs(name: str) -> None:
    sources = sources_of(name)
    assert all((ROOT / source).exists() for source in sources)
    assert "constraints.txt" in sources
    folders = {source for source in sources if (ROOT / source / "pyproject.toml").exists()}
    assert folders == needed_by("schema" if name == "migrate" else name)
    installed = next(rest for word, rest in instructions_of(name) if word == "RUN" and "pip wheel" in rest)
    assert set(re.findall(r" \./([a-z/-]+)", installed)) == folders


@pytest.mark.parametrize("name", BUILT)
def test_an_image_is_slim_runs_as_nobody_and_starts_its_process_itself(name: str) -> None:
    instructions = instructions_of(name)
    assert [rest.split()[0] for word, rest in instructions if word == "FROM"] == ["python:3.11-slim"] * 2
    assert ("USER", IMAGE_USER) in instructions
    word, command = instructions[-1]
    assert word == "CMD"
    argv = json.loads(command)  # Not a shell: signals reach the process.
    assert argv[:2] == ["/opt/harkara/bin/python", "-P"]
    if name == "migrate":
        assert argv[2:] == ["/opt/harkara/migrate.py"]
    else:
        assert argv[2:] == ["-m", f"harkara_{name.replace('-', '_')}"]


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_exposes_the_ports_of_its_service(name: str) -> None:
    fields = settings_class(name).model_fields
    (exposed,) = [rest.split() for word, rest in instructions_of(name) if word == "EXPOSE"]
    assert exposed == [
        str(fields[field].default).rpartition(":")[2] for field in ("listen_address", "ops_address")
    ]


def test_a_build_is_sent_what_the_dockerfiles_copy_and_no_secret() -> None:
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]

    def is_sent(path: str) -> bool:
        sent = True
        for rule in rules:
            pattern = rule.removeprefix("!").removeprefix("**/")
            parts = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
            if any(fnmatch.fnmatch(part, pattern) for part in parts):
                sent = rule.startswith("!")
        return sent

    assert all(is_sent(source) for name in BUILT for source in sources_of(name))
    for private in (
        "deploy/secrets/hs256.key",
        ".harkara/secrets/hs256.key",
        ".git/config",
        ".venv/bin/python",
    ):
        assert not is_sent(private), private

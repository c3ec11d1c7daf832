"""What is answered while something that the answer needs is away, frozen, slow, or only half there."""

import asyncio
import socket
import time
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from harkara_query_service.adapters.postgres_history import open_engine
from harkara_query_service.wiring import serve
from harkara_servicekit.settings import SettingsError
from tests.support.cutting_proxy import Fault, cutting_proxy
from tests.support.postgres import Database
from tests.support.query_peers import QueryMesh, query_settings, running_query_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

HISTORY = "/api/websocket/events/user/user_1"
STATS = "/api/websocket/stats"


def unavailable(response: httpx.Response, code: str = "try_again_later") -> None:
    assert (response.status_code, response.headers["retry-after"]) == (503, "1"), response.text
    assert response.json()["error"]["code"] == code


async def ready(mesh: QueryMesh) -> bool:
    return (await mesh.http.get(f"http://{mesh.bound.ops_address}/readyz")).status_code == 200


async def until_ready(mesh: QueryMesh, *, expected: bool) -> None:
    async with asyncio.timeout(10):
        while await ready(mesh) is not expected:  # noqa: ASYNC110 - no event tells of it.
            await asyncio.sleep(0.02)


async def test_while_the_auth_service_is_away_only_tokens_of_the_last_seconds_are_known(
    own_mesh: QueryMesh,
) -> None:
    known = own_mesh.auth.add("user_1", "customer")
    assert (await own_mesh.get(HISTORY, known)).status_code == 200
    await own_mesh.auth_server.stop(None)
    unavailable(await own_mesh.get(HISTORY, "another"))
    assert (await own_mesh.get(HISTORY, known)).status_code == 200


async def test_an_auth_service_that_does_not_answer_is_not_waited_for_without_end(mesh: QueryMesh) -> None:
    mesh.auth.gate.clear()
    started_at = time.monotonic()
    unavailable(await mesh.get(HISTORY, mesh.auth.add("user_1", "customer")))
    assert time.monotonic() - started_at < 4
    mesh.auth.gate.set()


async def test_stats_are_of_all_replicas_or_none(reader_dsn: str, tmp_path: Path) -> None:
    async with running_query_service(reader_dsn, tmp_path, replicas=2) as mesh:
        token = mesh.auth.add("root", "admin")
        for peer, users in zip(mesh.events, ([1, 2], [2, 3]), strict=True):
            peer.stats.connections = 2
            peer.stats.user_hashes.extend(users)
        data = (await mesh.get(STATS, token)).json()["data"]
        assert (data["total_connections"], data["total_users"]) == (4, 3)

    async with running_query_service(reader_dsn, tmp_path, replicas=2) as mesh:
        token = mesh.auth.add("root", "admin")
        await mesh.event_servers[1].stop(None)
        unavailable(await mesh.get(STATS, token))
        assert (await mesh.get(HISTORY, token)).status_code == 200


async def test_one_replica_behind_two_targets_leaves_no_sum(reader_dsn: str, tmp_path: Path) -> None:
    async with running_query_service(reader_dsn, tmp_path, replicas=2) as mesh:
        mesh.events[1].stats.replica = mesh.events[0].stats.replica
        unavailable(await mesh.get(STATS, mesh.auth.add("root", "admin")))


async def test_stats_asked_for_at_one_moment_are_counted_once(own_mesh: QueryMesh) -> None:
    token = own_mesh.auth.add("root", "admin")
    answers = await asyncio.gather(*(own_mesh.get(STATS, token) for _ in range(10)))
    assert len({answer.content for answer in answers}) == 1
    assert own_mesh.events[0].calls == 1


async def test_connections_that_died_with_postgres_are_not_noticed_by_callers(
    reader_dsn: str, tmp_path: Path
) -> None:
    async with cutting_proxy(reader_dsn) as (proxy, dsn), running_query_service(dsn, tmp_path) as mesh:
        token = mesh.auth.add("user_1", "customer")
        first = await asyncio.gather(*(mesh.get(HISTORY, token) for _ in range(6)))
        proxy.cut_all()
        second = await asyncio.gather(*(mesh.get(HISTORY, token) for _ in range(6)))
        assert {answer.status_code for answer in (*first, *second)} == {200}


async def test_while_postgres_is_away_answers_are_503_and_then_good_again(
    reader_dsn: str, tmp_path: Path
) -> None:
    async with cutting_proxy(reader_dsn) as (proxy, dsn), running_query_service(dsn, tmp_path) as mesh:
        token = mesh.auth.add("root", "admin")
        assert await ready(mesh)
        proxy.accepts = False
        proxy.cut_all()
        for path in (
            HISTORY,
            "/api/websocket/events/evt_01KG0A5XQ8ZJ3N5R7T9VWXYZ01",
            "/api/websocket/analytics/summary",
            "/api/websocket/critical-events",
        ):
            unavailable(await mesh.get(path, token))
        assert (await mesh.get(STATS, token)).status_code == 200
        await until_ready(mesh, expected=False)
        proxy.accepts = True
        assert (await mesh.get(HISTORY, token)).status_code == 200
        await until_ready(mesh, expected=True)


async def test_a_service_starts_while_postgres_is_away_and_answers_once_it_is_there(
    reader_dsn: str, tmp_path: Path
) -> None:
    async with cutting_proxy(reader_dsn) as (proxy, dsn):
        proxy.accepts = False
        async with running_query_service(dsn, tmp_path) as mesh:
            token = mesh.auth.add("user_1", "customer")
            unavailable(await mesh.get(HISTORY, token))
            assert not await ready(mesh)
            proxy.accepts = True
            assert (await mesh.get(HISTORY, token)).status_code == 200


async def test_a_postgres_that_falls_silent_is_not_waited_for_without_end(
    reader_dsn: str, tmp_path: Path
) -> None:
    async with (
        cutting_proxy(reader_dsn) as (proxy, dsn),
        running_query_service(dsn, tmp_path, pool_wait_seconds=0.2, statement_seconds=0.2) as mesh,
    ):
        token = mesh.auth.add("user_1", "customer")
        assert (await mesh.get(HISTORY, token)).status_code == 200
        proxy.plan(b"user_1", Fault.SILENT)
        started_at = time.monotonic()
        unavailable(await mesh.get(HISTORY, token))
        assert time.monotonic() - started_at < 3
        assert (await mesh.get(HISTORY, token)).status_code == 200


async def test_a_statement_that_takes_too_long_is_503(
    shared_database: Database, reader_dsn: str, tmp_path: Path
) -> None:
    with psycopg.connect(shared_database.dsn) as locking:
        async with running_query_service(reader_dsn, tmp_path, statement_seconds=0.2) as mesh:
            locking.execute("LOCK TABLE event_log IN ACCESS EXCLUSIVE MODE")
            unavailable(await mesh.get(HISTORY, mesh.auth.add("user_1", "customer")))
            locking.rollback()


async def test_who_finds_no_free_connection_in_time_is_told_so(
    shared_database: Database, reader_dsn: str, tmp_path: Path
) -> None:
    with psycopg.connect(shared_database.dsn) as locking:
        async with running_query_service(
            reader_dsn, tmp_path, pool_size=1, pool_wait_seconds=0.1, statement_seconds=2
        ) as mesh:
            token = mesh.auth.add("user_1", "customer")
            locking.execute("LOCK TABLE event_log IN ACCESS EXCLUSIVE MODE")
            answers = [asyncio.create_task(mesh.get(HISTORY, token)) for _ in range(3)]
            done, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
            unavailable(done.pop().result(), "overloaded")
            locking.rollback()
            codes = {(await answer).status_code for answer in answers}
            assert codes == {200, 503}


async def test_nothing_can_be_written_whatever_the_role_may(shared_database: Database) -> None:
    engine = open_engine(shared_database.dsn, pool_size=1, pool_wait_seconds=1, statement_seconds=1)
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError, match="read-only transaction"):
            await connection.execute(text("DELETE FROM event_count"))
    await engine.dispose()


async def test_a_database_that_was_never_migrated_stops_the_start(
    empty_database: Database, tmp_path: Path
) -> None:
    settings = query_settings(empty_database.dsn, tmp_path)
    with pytest.raises(SettingsError, match="migrate"):
        await serve(settings, asyncio.Event())


async def test_a_taken_port_stops_the_start(reader_dsn: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match="in use"):
            await serve(query_settings(reader_dsn, tmp_path, listen_address=address), asyncio.Event())


async def test_a_request_under_way_is_answered_before_the_service_stops(
    reader_dsn: str, tmp_path: Path
) -> None:
    async with running_query_service(reader_dsn, tmp_path) as mesh:
        mesh.auth.gate.clear()
        asked = asyncio.create_task(mesh.get(HISTORY, mesh.auth.add("user_1", "customer")))
        await mesh.auth.was_asked.wait()
        mesh.stop.set()
        mesh.auth.gate.set()
        assert (await asked).status_code == 200

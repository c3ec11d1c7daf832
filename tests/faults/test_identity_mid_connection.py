"""Tokens that end and users who are removed, while their connections are in use."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.faults.conftest import Faults
from tests.support.faults.history import Closed, Frame, read_history
from tests.support.faults.load import Load, Shape
from tests.support.faults.mesh import FaultMesh

pytestmark = pytest.mark.timeout(180)

TOKEN_SECONDS = 4
GRACE_SECONDS = 5.0
"""How long a session may outlive its token or its user: G8."""


def closes(load: Load) -> list[Closed]:
    """Every end of a connection that clients wrote down."""
    return [record for record in read_history(load.paths[1:]) if isinstance(record, Closed)]


async def test_connections_whose_tokens_are_renewed_never_end(faults: Faults, shared_mesh: FaultMesh) -> None:
    async with faults.load(shared_mesh, Shape(token_seconds=TOKEN_SECONDS)) as load:
        load.do(f"tokens last {TOKEN_SECONDS} s; clients bring new ones")
        await load.for_seconds(2 * TOKEN_SECONDS)
        verdict = await faults.clean(load)
    assert not verdict.duplicates
    assert set(verdict.codes) <= {1000}


@pytest.mark.ci
async def test_connections_end_with_their_tokens_and_their_clients_go_on_with_new_ones(
    faults: Faults, shared_mesh: FaultMesh
) -> None:
    shape = Shape(token_seconds=TOKEN_SECONDS, refreshes=False)
    async with faults.load(shared_mesh, shape) as load:
        began = time.monotonic()
        load.do(f"tokens last {TOKEN_SECONDS} s; clients bring no new ones")
        await load.for_seconds(2 * TOKEN_SECONDS)
        verdict = await faults.clean(load)
    expired = [close for close in closes(load) if close.code == 4402]
    assert {close.client for close in expired} == {f"{user_id}.0" for user_id in load.user_ids}
    first = {close.client: close.at for close in sorted(expired, key=lambda close: -close.at)}
    assert max(first.values()) - began < TOKEN_SECONDS + GRACE_SECONDS
    assert set(verdict.codes) <= {1000, 4402}


@pytest.mark.parametrize("how", [pytest.param("disable", marks=pytest.mark.ci), "remove"])
async def test_a_user_who_goes_hears_nothing_more_and_nobody_else_is_disturbed(
    faults: Faults, shared_mesh: FaultMesh, how: str
) -> None:
    async with faults.load(shared_mesh) as load:
        await load.for_seconds(1)
        gone = faults.rng.sample(load.user_ids, 20)
        load.do(f"{how} {len(gone)} of {len(load.user_ids)} users")
        at = time.monotonic()
        await asyncio.to_thread(shared_mesh.mesh.change_users, how, gone)
        await load.for_seconds(GRACE_SECONDS)
        verdict = await faults.clean(load)
    ended = {close.client: close for close in closes(load) if close.code == 4403}
    late = [
        record
        for record in read_history(load.paths[1:])
        if isinstance(record, Frame) and record.at > at + GRACE_SECONDS and record.user_id in gone
    ]
    assert set(ended) == {f"{user_id}.0" for user_id in gone}
    assert all(close.is_last and close.at - at < GRACE_SECONDS for close in ended.values())
    assert not late
    assert not verdict.duplicates

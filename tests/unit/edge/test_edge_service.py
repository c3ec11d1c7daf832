"""The service between sockets, stream and verifier: what is written when, and what is not."""

from __future__ import annotations

import asyncio
import struct

import pytest

from harkara_edge.domain.commands import DisconnectReason, OpenCursor, RevocationReason
from harkara_edge.domain.errors import TokenRefusedError, UserRefusedError, VerifierAwayError
from harkara_edge.domain.limits import Limits
from harkara_edge.domain.revocations import Revocation
from harkara_edge.service import edge
from tests.support.edge_fakes import Bench, event

KB = 1024


async def test_the_same_events_for_many_sessions_are_one_write_of_the_same_bytes_each() -> None:
    bench = Bench()
    clients = [await bench.open() for _ in range(3)]
    bench.deliver(([client for _, client in clients], [1, 2, 3]))
    for socket, client in clients:
        assert socket.seqs() == [1, 2, 3]
        assert len(socket.writes) == 1
        assert client.position == 3
    assert clients[0][0].writes[0] is clients[1][0].writes[0] is clients[2][0].writes[0]


async def test_everything_for_one_socket_in_one_answer_leaves_in_one_write() -> None:
    bench = Bench()
    one, first = await bench.open()
    two, second = await bench.open()
    bench.deliver(([first], [1]), ([first, second], [2]), ([second], [3]), ([first], [3, 4]))
    assert (one.seqs(), len(one.writes)) == ([1, 2, 3, 4], 1)
    assert (two.seqs(), len(two.writes)) == ([2, 3], 1)


async def test_answers_and_events_keep_the_order_of_the_stream() -> None:
    bench = Bench()
    socket, client = await bench.verify()
    bench.service.gather()
    bench.opened(client, 4)
    bench.service.deliver(struct.pack("<I", client.number), [5], [event(5)], at_once=False)
    bench.say(client, type="subscribe", events=["a"])
    bench.service.types_changed(client.number, 1)
    bench.service.deliver(struct.pack("<I", client.number), [6], [event(6)], at_once=False)
    assert bench.service.flush(512) is False
    assert len(socket.writes) == 1
    kinds = [frame.get("type", frame.get("seq")) for frame in socket.frames()]
    assert kinds == ["authenticated", 5, "subscription_updated", 6]


async def test_a_heartbeat_between_two_turns_of_a_flush_comes_after_the_events_it_counts() -> None:
    bench = Bench()
    one, first = await bench.open()
    two, second = await bench.open()
    bench.service.gather()
    bench.service.deliver(struct.pack("<II", first.number, second.number), [1], [event(1)], at_once=False)
    assert bench.service.flush(1) is True
    assert (len(one.writes), len(two.writes)) == (1, 0)
    bench.say(second, type="heartbeat")
    bench.say(first, type="heartbeat")
    assert bench.service.flush(512) is False
    for socket in (one, two):
        kinds = [frame.get("type", "event") for frame in socket.frames()]
        assert kinds == ["event", "heartbeat_ack"]
        assert socket.frames()[1]["seq"] == 1


async def test_a_session_that_closed_gets_nothing_and_others_do() -> None:
    bench = Bench()
    one, first = await bench.open()
    two, second = await bench.open()
    bench.service.gone(first, "client")
    bench.deliver(([first, second], [1]))
    assert one.seqs() == []
    assert two.seqs() == [1]
    assert bench.stream.take() == [("close", first.number)]
    assert bench.metrics.drops._value.get() == 1
    assert bench.metrics.deliveries._value.get() == 1


async def test_an_event_at_or_below_the_position_is_not_written_again() -> None:
    bench = Bench()
    socket, client = await bench.open()
    bench.deliver(([client], [1, 2, 3]))
    bench.deliver(([client], [2, 3, 4]))
    bench.deliver(([client], [4]))
    bench.deliver(([client], [5, 5, 6]))
    assert socket.seqs() == [1, 2, 3, 4, 5, 6]
    assert bench.metrics.deliveries._value.get() == 6
    assert bench.metrics.drops._value.get() == 4


async def test_an_event_outside_the_log_is_written_and_moves_no_position() -> None:
    bench = Bench()
    socket, client = await bench.open()
    bench.deliver(([client], [1]), ([client], [0]), ([client], [2, 0]))
    assert socket.seqs() == [1, 0, 2, 0]
    assert client.position == 2


async def test_between_an_open_and_its_opened_everything_is_dropped() -> None:
    bench = Bench()
    socket, client = await bench.open()
    bench.deliver(([client], [1]))
    bench.service.detached()
    bench.deliver(([client], [2]))
    await bench.service.attached()
    bench.deliver(([client], [3]))
    bench.service.opened(client.number, generation=1, epoch="e", seq=1, recovered=False)
    bench.deliver(([client], [3]))
    assert (socket.seqs(), client.position) == ([1], 1)
    bench.opened(client, 1)
    bench.deliver(([client], [2, 3]))
    assert socket.seqs() == [1, 2, 3]


async def test_on_a_new_stream_sessions_start_no_faster_than_they_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(edge, "_OPENS_IN_A_TURN", 2)
    bench = Bench()
    for _ in range(5):
        await bench.open()
    bench.service.detached()
    bench.stream.has_room.clear()
    attaching = asyncio.create_task(bench.service.attached())
    await bench.stream.waited_for.wait()
    assert len(bench.stream.take()) == 2
    bench.stream.has_room.set()
    await attaching
    assert len(bench.stream.take()) == 3


# Slow readers.


async def test_a_socket_that_takes_nothing_is_paused_once_it_holds_too_much() -> None:
    bench = Bench(Limits(max_unsent_bytes=10 * KB))
    socket, client = await bench.open()
    socket.clogged = True
    for seq in range(1, 21):
        bench.deliver(([client], [seq]), size=KB)
    # Ten events of a little more than 1 kB each; the tenth is the one too many.
    assert socket.seqs() == list(range(1, 11))
    assert client.position == 10
    assert bench.stream.take() == [
        ("open", client.number, "u", OpenCursor(2, 10, "e", (), None, paused=True))
    ]
    assert bench.metrics.pauses._value.get() == 1


async def test_a_slow_reader_is_noticed_in_the_middle_of_a_run() -> None:
    bench = Bench(Limits(max_unsent_bytes=10 * KB))
    slow, first = await bench.open()
    quick, second = await bench.open()
    slow.clogged = True
    bench.deliver(([first, second], [1]), size=KB)
    bench.deliver(([first, second], list(range(2, 40))), size=KB)
    assert slow.seqs() == list(range(1, 11))
    assert quick.seqs() == list(range(1, 40))


async def test_a_long_run_is_handed_over_piece_by_piece() -> None:
    bench = Bench(Limits(max_unsent_bytes=100 * KB))
    socket, client = await bench.open()
    socket.clogged = True
    bench.deliver(([client], list(range(1, 200))), size=KB)
    assert 90 < len(socket.seqs()) <= 100
    assert client.position == len(socket.seqs())


async def test_drained_a_slow_reader_goes_on_from_its_position_without_a_hole() -> None:
    bench = Bench(Limits(max_unsent_bytes=10 * KB))
    socket, client = await bench.open()
    socket.clogged = True
    bench.deliver(([client], [1]), size=KB)
    bench.deliver(([client], list(range(2, 21))), size=KB)
    bench.opened(client)
    bench.deliver(([client], [21]))
    socket.clogged, socket.holds = False, 0
    bench.service.drained(client)
    bench.deliver(([client], [22]))
    assert bench.stream.take()[-1][3] == OpenCursor(3, 10, "e", (), None, paused=False)
    bench.opened(client)
    bench.deliver(([client], list(range(11, 24))))
    assert socket.seqs() == list(range(1, 24))


async def test_a_socket_that_is_slow_but_not_too_slow_is_not_paused() -> None:
    bench = Bench()
    socket, client = await bench.open()
    socket.clogged = True
    bench.deliver(([client], [1]))
    socket.clogged, socket.holds = False, 0
    bench.service.drained(client)
    bench.deliver(([client], [2]))
    assert socket.seqs() == [1, 2]
    assert bench.stream.take() == []


async def test_answers_to_a_client_that_does_not_read_pause_it_too() -> None:
    bench = Bench(Limits(max_unsent_bytes=1 * KB))
    socket, client = await bench.open()
    socket.clogged = True
    for _ in range(30):
        bench.say(client, type="heartbeat")
    assert [command[0] for command in bench.stream.take()] == ["open"]


async def test_as_all_sockets_fill_up_each_may_hold_less() -> None:
    bench = Bench(
        Limits(max_unsent_bytes=10 * KB, max_unsent_bytes_crowded=2 * KB, max_unsent_bytes_total=100 * KB)
    )
    socket, client = await bench.open()
    socket.clogged = True
    bench.unsent.change(60 * KB)
    bench.deliver(([client], [1]), size=KB)
    bench.deliver(([client], list(range(2, 21))), size=KB)
    assert socket.seqs() == [1, 2]


async def test_what_was_written_is_reported_every_32_kib() -> None:
    bench = Bench()
    _, client = await bench.open()
    for seq in range(1, 101):
        bench.deliver(([client], [seq]), size=KB, at_once=seq % 2 == 0)
    reported = [command for command in bench.stream.take() if command[0] == "written"]
    assert [seq for _, _, seq in reported] == [32, 63, 94] or len(reported) == 3
    assert all(number == client.number for _, number, _ in reported)


# Verification.


@pytest.mark.parametrize(
    ("error", "code", "close_code"),
    [
        (TokenRefusedError, "unauthenticated", 4401),
        (UserRefusedError, "forbidden", 4403),
        (VerifierAwayError, "try_again_later", 1013),
    ],
)
async def test_a_refused_token_closes_with_its_code(
    error: type[TokenRefusedError], code: str, close_code: int
) -> None:
    bench = Bench()
    bench.verifier.error = error
    socket, _ = await bench.verify()
    assert socket.frames()[-1]["code"] == code
    assert socket.close_code == close_code


async def test_a_user_disabled_between_the_answer_and_its_session_is_asked_about_again() -> None:
    bench = Bench()

    def disable() -> None:
        # The first answer is on its way as of version 1; the next ones know.
        bench.revoke(2, Revocation("u", RevocationReason.REMOVED_OR_DISABLED, 2))
        bench.verifier.before_answer = refuse

    def refuse() -> None:
        bench.verifier.error = UserRefusedError

    bench.verifier.before_answer = disable
    socket, _ = await bench.verify()
    assert bench.verifier.asked == 2
    assert socket.close_code == 4403
    assert bench.stream.take() == []


async def test_a_change_of_somebody_else_does_not_delay_an_answer() -> None:
    bench = Bench()
    bench.revoke(5, Revocation("v", RevocationReason.REMOVED_OR_DISABLED, 5))
    await bench.open("u")
    assert bench.verifier.asked == 1


async def test_an_answer_that_stays_doubtful_closes_for_another_try() -> None:
    bench = Bench()
    bench.revoke(5, Revocation("u", RevocationReason.REMOVED_OR_DISABLED, 5))
    socket, _ = await bench.verify()
    assert bench.verifier.asked == 3
    assert socket.close_code == 1013


async def test_the_pauses_before_asking_again_are_chance_up_to_a_bound_that_grows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many clients in doubt together once came back to the auth-service together."""
    bench = Bench()
    bench.revoke(5, Revocation("u", RevocationReason.REMOVED_OR_DISABLED, 5))
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", pause)
    for chance in (0.0, 0.5, 1.0):
        bench.chance = chance
        await bench.verify()
    assert paused == [0.0, 0.0, 0.1, 0.5, 0.2, 1.0]


async def test_a_revocation_ends_the_sessions_of_its_user_and_no_others() -> None:
    bench = Bench()
    one, _ = await bench.open("u")
    two, _ = await bench.open("u")
    other, _ = await bench.open("v")
    bench.revoke(2, Revocation("u", RevocationReason.REMOVED_OR_DISABLED, 2))
    assert (one.close_code, two.close_code, other.close_code) == (4403, 4403, None)


async def test_a_session_verified_after_the_change_stays() -> None:
    bench = Bench()
    bench.verifier.version = 9
    socket, _ = await bench.open("u")
    bench.revoke(9, Revocation("u", RevocationReason.ROLE_CHANGED, 9))
    assert socket.close_code is None
    bench.revoke(10, Revocation("u", RevocationReason.ROLE_CHANGED, 10))
    assert socket.close_code == 4401


async def test_after_a_restore_of_the_users_old_versions_protect_no_session() -> None:
    bench = Bench()
    bench.verifier.version = 500
    bench.revoke(500)
    socket, _ = await bench.open("u")
    bench.revoke(300)
    bench.revoke(301, Revocation("u", RevocationReason.REMOVED_OR_DISABLED, 301))
    assert socket.close_code == 4403


async def test_a_fault_of_ours_ends_one_session_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    one, first = await bench.open()
    two, second = await bench.open()
    try:
        raise RuntimeError
    except RuntimeError:
        bench.service.failed(first.number)
        bench.service.failed(999)
    assert one.frames()[-1]["code"] == "internal_error"
    assert one.close_code == 1011
    bench.deliver(([second], [1]))
    assert two.seqs() == [1]
    monkeypatch.setattr(bench.verifier, "verify", None)
    three, _ = await bench.verify()
    assert three.close_code == 1011


async def test_a_client_that_left_while_it_was_verified_leaves_nothing_behind() -> None:
    bench = Bench()
    socket, client = bench.connect()
    bench.say(client, type="auth", token="u")
    bench.service.gone(client, "lost")
    await bench.settle()
    assert socket.writes == []
    assert bench.stream.take() == []


# The rest.


async def test_a_disconnect_of_the_event_service_closes_the_connection() -> None:
    bench = Bench()
    socket, client = await bench.open()
    bench.service.disconnected(client.number, client.generation, DisconnectReason.TOO_MANY_CONNECTIONS)
    assert socket.close_code == 4429
    bench.service.disconnected(999, 1, DisconnectReason.UNAVAILABLE)


async def test_frames_gathered_when_the_stream_ends_are_still_written() -> None:
    bench = Bench()
    socket, client = await bench.open()
    bench.service.gather()
    bench.service.deliver(struct.pack("<I", client.number), [1], [event(1)], at_once=False)
    bench.service.detached()
    assert socket.seqs() == [1]
    assert client.position == 1


async def test_an_error_that_ends_a_connection_follows_what_was_gathered_for_it() -> None:
    bench = Bench()
    socket, client = await bench.open()
    bench.service.gather()
    bench.service.deliver(struct.pack("<I", client.number), [1], [event(1)], at_once=False)
    bench.service.stalled(client)
    bench.service.flush(512)
    assert [frame.get("code", "event") for frame in socket.frames()] == ["event", "timeout"]
    assert socket.close_code == 4408


async def test_every_client_is_told_when_the_server_stops() -> None:
    bench = Bench()
    live, _ = await bench.open()
    new, _ = bench.connect()
    await bench.service.drain(0, asyncio.Event())
    assert (live.close_code, new.close_code) == (1012, 1012)


async def test_who_was_not_told_yet_that_the_server_stops_is_served_until_then() -> None:
    bench = Bench()
    clients = [await bench.open() for _ in range(10)]
    hurry = asyncio.Event()
    draining = asyncio.create_task(bench.service.drain(3600, hurry))
    await asyncio.sleep(0)
    told = [socket.close_code for socket, _ in clients]
    assert told == [1012, *[None] * 9]
    bench.deliver(([client for _, client in clients], [1]))
    assert [socket.seqs() for socket, _ in clients] == [[], *[[1]] * 9]
    bench.say(clients[1][1], type="heartbeat")
    assert clients[1][0].frames()[-1]["type"] == "heartbeat_ack"
    hurry.set()
    await draining
    assert {socket.close_code for socket, _ in clients} == {1012}


async def test_clients_are_told_one_after_the_other_over_the_time_there_is() -> None:
    bench = Bench()
    clients = [await bench.open() for _ in range(8)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    draining = asyncio.create_task(bench.service.drain(0.4, asyncio.Event()))
    most_at_once = told_before = 0
    while not draining.done():
        await asyncio.sleep(0.005)
        told = sum(socket.close_code == 1012 for socket, _ in clients)
        most_at_once, told_before = max(most_at_once, told - told_before), told
    assert told_before == 8
    assert most_at_once < 8
    assert loop.time() - began > 0.3


async def test_a_drain_ends_when_nobody_is_left() -> None:
    bench = Bench()
    clients = [await bench.open() for _ in range(3)]
    draining = asyncio.create_task(bench.service.drain(0.3, asyncio.Event()))
    await asyncio.sleep(0)
    for _, client in clients:
        bench.service.gone(client, "client")
    began = asyncio.get_running_loop().time()
    await draining
    assert asyncio.get_running_loop().time() - began < 0.2


async def test_a_client_is_read_again_once_it_is_authenticated() -> None:
    bench = Bench()
    socket, client = bench.connect()
    bench.say(client, type="auth", token="u")
    assert socket.held
    await bench.settle()
    assert socket.held
    bench.opened(client, 0)
    assert not socket.held

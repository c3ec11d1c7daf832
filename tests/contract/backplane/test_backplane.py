"""What every backplane promises (`harkara_event_service.ports.Backplane`)."""

from __future__ import annotations

import asyncio

from harkara_event_service.adapters.outgoing import OutgoingLimits
from harkara_event_service.ports import Topic
from tests.contract.backplane.conftest import Member, Mesh
from tests.support.waiting import wait_until_async


async def members(mesh: Mesh, *logs: str) -> list[Member]:
    made = [mesh.member() for _ in logs]
    for member, log in zip(made, logs, strict=True):
        await member.join(log)
    return made


async def test_a_message_reaches_everybody_else_and_not_its_sender(mesh: Mesh) -> None:
    one, other, third = await members(mesh, "log", "log", "log")

    assert one.send(b"hint")

    await other.got(b"hint")
    await third.got(b"hint")
    # What comes back later than this would have come back before it.
    assert other.send(b"answer")
    await one.got(b"answer")


async def test_messages_come_in_the_order_in_which_they_were_sent(mesh: Mesh) -> None:
    one, other = await members(mesh, "log", "log")

    sent = [b"%d" % number for number in range(500)]
    for message in sent:
        assert one.send(message)
        if message.endswith(b"7"):
            await asyncio.sleep(0)

    await other.got(*sent)


async def test_a_message_is_heard_under_its_topic(mesh: Mesh) -> None:
    one, other = await members(mesh, "log", "log")

    one.send(b"passing", Topic.EPHEMERAL)
    one.send(b"hint")

    await other.got(b"hint")
    await wait_until_async(lambda: other.about(Topic.EPHEMERAL) == [b"passing"])


async def test_whoever_sends_is_not_made_to_hear_meanwhile(mesh: Mesh) -> None:
    one, other = await members(mesh, "log", "log")

    for member in (one, other):
        assert member.send(b"x" * 10)

    await one.got(b"x" * 10)
    await other.got(b"x" * 10)
    assert not one.heard_while_sending
    assert not other.heard_while_sending


async def test_another_log_is_another_world(mesh: Mesh) -> None:
    one, other, stranger = await members(mesh, "log", "log", "of another * epoch.>")

    stranger.send(b"strange")
    one.send(b"hint")
    await other.got(b"hint")

    stranger_too = mesh.member()
    await stranger_too.join("of another * epoch.>")
    stranger_too.send(b"of ours")
    await stranger.got(b"of ours")


async def test_whoever_joins_another_log_leaves_the_former(mesh: Mesh) -> None:
    one, other, mover = await members(mesh, "log", "new life", "log")

    await mover.join("new life")
    one.send(b"of the former")
    other.send(b"of the new")
    await mover.got(b"of the new")

    mover.send(b"moved")
    await other.got(b"moved")
    assert one.about() == []


async def test_a_large_message_arrives_whole(mesh: Mesh) -> None:
    one, other = await members(mesh, "log", "log")

    one.send(bytes(range(256)) * 1_200)

    await other.got(bytes(range(256)) * 1_200)


async def test_while_it_is_away_messages_are_dropped_and_counted_and_none_comes_later(mesh: Mesh) -> None:
    one, other = await members(mesh, "log", "log")
    mesh.go_away()
    await wait_until_async(lambda: not one.backplane.is_up and not other.backplane.is_up)

    before = one.counted("dropped")
    assert [one.send(b"into the void") for _ in range(100)] == [False] * 100
    assert one.counted("dropped") == before + 100

    mesh.come_back()
    await wait_until_async(lambda: one.backplane.is_up and other.backplane.is_up)
    assert one.send(b"again")
    await other.got(b"again")


async def test_more_messages_than_may_wait_are_turned_away_and_counted(mesh: Mesh) -> None:
    one, other = mesh.member(OutgoingLimits(messages=10)), mesh.member()
    await one.join("log")
    await other.join("log")
    await wait_until_async(lambda: one.counted("sent") > 0)
    before = one.counted("dropped")

    taken = [one.send(b"%d" % number) for number in range(15)]

    assert taken == [True] * 10 + [False] * 5
    assert one.counted("dropped") == before + 5
    await other.got(*(b"%d" % number for number in range(10)))
    assert one.send(b"room again")


async def test_more_bytes_than_may_wait_are_turned_away_and_counted(mesh: Mesh) -> None:
    one, other = mesh.member(OutgoingLimits(size=1_000)), mesh.member()
    await one.join("log")
    await other.join("log")
    await wait_until_async(lambda: one.counted("sent") > 0)
    before = one.counted("dropped")

    assert one.send(b"a" * 600)
    assert not one.send(b"b" * 600)
    assert one.send(b"c" * 400)

    assert one.counted("dropped") == before + 1
    await other.got(b"a" * 600, b"c" * 400)


async def test_nobody_who_has_joined_no_log_sends(mesh: Mesh) -> None:
    member = mesh.member()

    assert not member.backplane.is_up
    assert not member.send(b"hint")
    assert member.counted("dropped") == 1

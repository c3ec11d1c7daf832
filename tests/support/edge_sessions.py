"""Sessions of the edge in the states that tests begin with, and what they say."""

from __future__ import annotations

import json
from typing import Any

from harkara_edge.domain.commands import Effect, End, Moment, Principal, Reply
from harkara_edge.domain.limits import Limits
from harkara_edge.domain.session import Rules, Session

RULES = Rules(Limits(), frozenset({"a", "b", "c"}))
START = Moment(1_000.0, 1_769_509_800.0)
HOUR = 3_600.0


def later(seconds: float) -> Moment:
    """The moment so many seconds after the start."""
    return Moment(START.monotonic + seconds, START.wall + seconds)


def said(effects: list[Effect]) -> list[dict[str, Any]]:
    """What the client is told by these effects."""
    return [json.loads(effect.text) for effect in effects if isinstance(effect, Reply)]


def asked(effects: list[Effect]) -> list[Effect]:
    """What else they ask for."""
    return [effect for effect in effects if not isinstance(effect, Reply)]


def text(kind: str, **fields: Any) -> str:
    """A frame from the client."""
    return json.dumps({"type": kind, **fields})


def principal(user_id: str = "u", role: str = "customer", *, expires_in: float = HOUR) -> Principal:
    """Whom a token speaks for."""
    return Principal(user_id, role, START.wall + expires_in, 7)


def verify(session: Session, at: Moment = START, *, attached: bool = True, **fields: Any) -> list[Effect]:
    """Let a session learn whom its token speaks for."""
    return session.verified(principal(**fields), number=1, connection_id="conn_1", attached=attached, at=at)


def connected() -> Session:
    """A session of which nothing was heard yet."""
    return Session(RULES, START)


def opening(**auth: Any) -> Session:
    """A session that waits for its cursor."""
    session = connected()
    session.receive(text("auth", token="t", **auth), START)
    verify(session)
    return session


def opened(seq: int = 10, **auth: Any) -> Session:
    """A session whose cursor stands."""
    session = opening(**auth)
    session.opened(generation=1, epoch="e", seq=seq, recovered=False, at=START)
    return session


def reopened(session: Session, at: Moment = START, seq: int | None = None, epoch: str = "e") -> list[Effect]:
    """Answer the session's last Open."""
    return session.opened(
        generation=session.generation,
        epoch=epoch,
        seq=session.position if seq is None else seq,
        recovered=False,
        at=at,
    )


def stands(session: Session) -> str:
    """The name of its state."""
    return session.state.name


def ends_with(effects: list[Effect], error: str, close_code: int) -> bool:
    """Whether these effects end the connection so."""
    return said(effects)[-1]["code"] == error and effects[-1] == End(close_code)

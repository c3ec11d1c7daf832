"""The backplane of replicas that live in one process: what `ports.Backplane` promises, without a server.

For tests, and for nothing that runs in several processes.
"""

from __future__ import annotations

import asyncio

from harkara_event_service.adapters.outgoing import Outgoing, OutgoingLimits
from harkara_event_service.metrics import BackplaneMetrics
from harkara_event_service.ports import Heard, Topic


class LocalHub:
    """Joins the backplanes of one process.

    Attributes:
        is_up: while False nothing goes through, and what was on its way is lost.
    """

    def __init__(self) -> None:
        self.is_up = True
        self._backplanes: list[LocalBackplane] = []

    def backplane(self, metrics: BackplaneMetrics, limits: OutgoingLimits | None = None) -> LocalBackplane:
        """One more replica's."""
        backplane = LocalBackplane(self, metrics, limits or OutgoingLimits())
        self._backplanes.append(backplane)
        return backplane

    def carry(self, sender: LocalBackplane, topic: Topic, message: bytes) -> None:
        """Bring a message to everybody of the sender's log but the sender."""
        for backplane in self._backplanes:
            if backplane is not sender and backplane.log == sender.log:
                backplane.hear(topic, message)


class LocalBackplane:
    """One replica's; see `LocalHub`.

    Args:
        hub: what joins it to the others.
        metrics: where it counts.
        limits: how much may wait to go out.

    Attributes:
        log: whose messages are sent and heard; None before `join`.
    """

    def __init__(self, hub: LocalHub, metrics: BackplaneMetrics, limits: OutgoingLimits) -> None:
        self._hub = hub
        self._metrics = metrics
        self._outgoing = Outgoing(limits)
        self._is_leaving = False
        self._heard: Heard | None = None
        self.log: str | None = None

    @property
    def is_up(self) -> bool:
        """See `Backplane.is_up`."""
        return self._hub.is_up and self.log is not None

    def join(self, log: str, heard: Heard) -> None:
        """See `Backplane.join`."""
        # What waits was said of the former log.
        self._metrics.hints_dropped.inc(self._outgoing.clear())
        self.log = log
        self._heard = heard

    def send(self, topic: Topic, message: bytes) -> bool:
        """See `Backplane.send`."""
        if not self.is_up or not self._outgoing.put(topic, message):
            self._metrics.hints_dropped.inc()
            return False
        if not self._is_leaving:
            self._is_leaving = True
            asyncio.get_running_loop().call_soon(self._leave)
        return True

    def _leave(self) -> None:
        self._is_leaving = False
        while (waiting := self._outgoing.take()) is not None:
            if self.is_up:
                self._metrics.hints_sent.inc()
                self._hub.carry(self, *waiting)
            else:
                self._metrics.hints_dropped.inc()

    def hear(self, topic: Topic, message: bytes) -> None:
        """A message of another replica."""
        if self._heard is not None:
            self._heard(topic, message)

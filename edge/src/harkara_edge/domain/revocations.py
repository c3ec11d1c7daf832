"""What is known of users whose tokens are no longer good, and whether an answer may be too old.

The race it closes: `Authenticate` answers as of version 10; the user is disabled, version 11; the watch
tells 11 before the answer has become a session, so there is no session to end, and then there is one.
So what the watch told lately is remembered, and an answer is compared with it: one that does not know
of a change of its own user, or is older than what is remembered, is in doubt and must be asked for again.

What does not belong here: ending sessions, and asking again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from harkara_edge.domain.commands import Principal, RevocationReason


class Revocation(NamedTuple):
    """A change that ends what a user's tokens were good for.

    Args:
        user_id: Whose.
        reason: Why.
        version: The change's number, or a later one: the watch tells several changes under the
            version of the last.
    """

    user_id: str
    reason: RevocationReason
    version: int


class RevocationMemory:
    """The latest revocations, one for each user.

    Args:
        capacity: How many are remembered; of the oldest only the version is.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._latest: OrderedDict[str, Revocation] = OrderedDict()
        self._forgotten = 0
        self.version: int | None = None

    def learn(self, version: int, revocations: list[Revocation]) -> bool:
        """Take in what the watch told.

        Args:
            version: Up to which everything is now known. The first is where the memory begins.
            revocations: In rising version.

        Returns:
            Whether history went back (the users' database was restored): versions of before then say
            nothing any more.
        """
        went_back = self.version is not None and version < self.version
        if self.version is None or went_back:
            self._latest.clear()
            self._forgotten = version
        self.version = version
        for revocation in revocations:
            self._latest[revocation.user_id] = revocation
            self._latest.move_to_end(revocation.user_id)
        while len(self._latest) > self._capacity:
            self._forgotten = max(self._forgotten, self._latest.popitem(last=False)[1].version)
        return went_back

    def is_doubtful(self, principal: Principal) -> bool:
        """Return whether an answer may not know of a change of its user."""
        if self.version is None or principal.version < self._forgotten:
            return True
        latest = self._latest.get(principal.user_id)
        return latest is not None and latest.version > principal.version

"""The users, through auth-service's `UserService`."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from harkara.auth.v1 import user_service_pb2 as pb
from harkara.auth.v1 import user_service_pb2_grpc as pb_grpc
from harkara_cli.calls import Caller

PAGE = 10_000
"""As many as one request may hold."""

NEW_ROLE = "customer"
"""What a user becomes of whom nothing else was said."""

Item = TypeVar("Item")


class Users:
    """What an operator does with users.

    Args:
        caller: Of auth-service, with an admin's or the operator's credential.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._stub = pb_grpc.UserServiceStub(caller.channel)

    def add(self, users: Sequence[tuple[str, str]]) -> None:
        """Adds users, by id and role; more than 10,000 in several steps, of which each is whole.

        Who exists gets the role and is enabled again; `let_in` tells what that changes.

        Raises:
            CliError: The server refuses.
        """
        for page in _pages(users):
            request = pb.AddUsersRequest(
                users=[
                    pb.User(user_id=user_id, role=pb.Role.Value(_enum_role(role))) for user_id, role in page
                ]
            )
            self._caller.call(self._stub.AddUsers, request)

    def let_in(self, user_ids: Sequence[str], role: str | None) -> Iterator[tuple[str, str]]:
        """Sees to it that users exist and may come in; in steps like those of `add`.

        Args:
            user_ids: Each once.
            role: What each becomes; None makes new ones customers and leaves the others what they are.

        Yields:
            Each id, in the given order, and what happened to it, as words that follow its name.

        Raises:
            CliError: The server refuses.
        """
        for page in _pages(user_ids):
            known = {user_id: (was, status) for user_id, was, status in self.listed(page)}
            wanted = {user_id: role or known.get(user_id, (NEW_ROLE, ""))[0] for user_id in page}
            # Who is so already is not sent: what another operator changes meanwhile stays.
            self.add(
                [
                    (user_id, becomes)
                    for user_id, becomes in wanted.items()
                    if known.get(user_id) != (becomes, "active")
                ]
            )
            for user_id, becomes in wanted.items():
                yield user_id, _what_happened(becomes, known.get(user_id))

    def listed(self, user_ids: Sequence[str] = ()) -> Iterator[tuple[str, str, str]]:
        """Id, role and status of users, by rising id: all of them, or the known ones of those given.

        Raises:
            CliError: The server refuses.
        """
        for page in _pages(sorted(set(user_ids))) if user_ids else [()]:
            token = ""
            while True:
                request = pb.ListUsersRequest(page_size=PAGE, page_token=token, user_ids=page)
                answer = self._caller.call(self._stub.ListUsers, request)
                for user in answer.users:
                    role = pb.Role.Name(user.role).removeprefix("ROLE_").lower()
                    status = pb.UserStatus.Name(user.status).removeprefix("USER_STATUS_").lower()
                    yield user.user_id, role, status
                if not (token := answer.next_page_token):
                    break

    def disable(self, user_ids: Sequence[str]) -> None:
        """Disables users; their sessions end.

        Raises:
            CliError: The server refuses; of an unknown id too.
        """
        for page in _pages(user_ids):
            self._caller.call(self._stub.DisableUsers, pb.DisableUsersRequest(user_ids=page))

    def remove(self, user_ids: Sequence[str]) -> None:
        """Removes users; their sessions end, their events stay.

        Raises:
            CliError: The server refuses; of an unknown id too.
        """
        for page in _pages(user_ids):
            self._caller.call(self._stub.RemoveUsers, pb.RemoveUsersRequest(user_ids=page))


def _what_happened(role: str, before: tuple[str, str] | None) -> str:
    if before is None:
        return f"added as {role}"
    was, status = before
    happened = [f"is {role} now (was {was})"] if role != was else []
    if status != "active":
        happened.append("enabled again")
    return ", ".join(happened) or "unchanged"


def _enum_role(role: str) -> str:
    return f"ROLE_{role.upper()}"


def _pages(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), PAGE):
        yield items[start : start + PAGE]

"""The users, through auth-service's `UserService`."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from harkara.auth.v1 import user_service_pb2 as pb
from harkara.auth.v1 import user_service_pb2_grpc as pb_grpc

from harkara_cli.calls import Caller

PAGE = 10_000
"""As many as one request may hold."""

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


def _enum_role(role: str) -> str:
    return f"ROLE_{role.upper()}"


def _pages(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), PAGE):
        yield items[start : start + PAGE]

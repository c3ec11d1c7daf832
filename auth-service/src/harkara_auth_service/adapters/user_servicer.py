"""`UserService` on gRPC: translates, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from harkara.auth.v1 import user_service_pb2 as pb
from harkara.auth.v1 import user_service_pb2_grpc as rpc
from harkara_auth_service.adapters.statuses import as_status
from harkara_auth_service.domain.errors import InvalidRequestError
from harkara_auth_service.domain.users import NewUser, Principal, Role, User, UserStatus
from harkara_auth_service.service.user_keeping import UserKeeping

SERVICE_NAME: Final = "harkara.auth.v1.UserService"

_ROLES: Final = {
    Role.CUSTOMER: pb.ROLE_CUSTOMER,
    Role.DELIVERY_BOY: pb.ROLE_DELIVERY_BOY,
    Role.SHOP: pb.ROLE_SHOP,
    Role.SUPPORT: pb.ROLE_SUPPORT,
    Role.ADMIN: pb.ROLE_ADMIN,
}
_ROLE_OF: Final = {number: role for role, number in _ROLES.items()}
_ROLE_RULE: Final = f"must be one of {', '.join(pb.Role.Name(number) for number in _ROLE_OF)}"
_STATUSES: Final = {
    UserStatus.ACTIVE: pb.USER_STATUS_ACTIVE,
    UserStatus.DISABLED: pb.USER_STATUS_DISABLED,
}


class UserServicer(rpc.UserServiceServicer):
    """As the proto says.

    Args:
        keeping: keeps the users.
        caller: says who calls, within a call.
    """

    def __init__(self, keeping: UserKeeping, caller: Callable[[], Principal]) -> None:
        self._keeping = keeping
        self._caller = caller

    async def AddUsers(  # noqa: D102, N802 - the proto's.
        self, request: pb.AddUsersRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.AddUsersResponse:
        del context
        with as_status():
            wanted = [_new_user_of(user) for user in request.users]
            added = await self._keeping.add(wanted, self._caller())
        return pb.AddUsersResponse(users=_messages_for(added))

    async def ListUsers(  # noqa: D102, N802 - the proto's.
        self, request: pb.ListUsersRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListUsersResponse:
        del context
        with as_status():
            page = await self._keeping.list(request.page_size, request.page_token, request.user_ids)
        return pb.ListUsersResponse(users=_messages_for(page.users), next_page_token=page.next_page_token)

    async def DisableUsers(  # noqa: D102, N802 - the proto's.
        self, request: pb.DisableUsersRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.DisableUsersResponse:
        del context
        with as_status():
            disabled = await self._keeping.disable(request.user_ids, self._caller())
        return pb.DisableUsersResponse(users=_messages_for(disabled))

    async def RemoveUsers(  # noqa: D102, N802 - the proto's.
        self, request: pb.RemoveUsersRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.RemoveUsersResponse:
        del context
        with as_status():
            await self._keeping.remove(request.user_ids, self._caller())
        return pb.RemoveUsersResponse()


def _new_user_of(message: pb.User) -> NewUser:
    role = _ROLE_OF.get(message.role)
    if role is None:
        raise InvalidRequestError("users.role", _ROLE_RULE)
    return NewUser(message.user_id, role)


def _messages_for(users: Iterable[User]) -> list[pb.User]:
    messages: list[pb.User] = []
    for user in users:
        create_time, update_time = Timestamp(), Timestamp()
        create_time.FromDatetime(user.created_at)
        update_time.FromDatetime(user.updated_at)
        messages.append(
            pb.User(
                user_id=user.user_id,
                role=_ROLES[user.role],
                status=_STATUSES[user.status],
                create_time=create_time,
                update_time=update_time,
            )
        )
    return messages

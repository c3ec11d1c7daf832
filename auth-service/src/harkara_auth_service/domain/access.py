"""Who may call which method. A method that is not here is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from harkara_auth_service.domain.token_rules import PrincipalKind
from harkara_auth_service.domain.users import Principal, Role

Rule = Callable[[Principal], bool]


def internal(*names: str) -> Rule:
    """Only these parts of Harkara itself."""
    allowed = frozenset(names)

    def rule(caller: Principal) -> bool:
        return caller.kind is PrincipalKind.INTERNAL and caller.user_id in allowed

    return rule


def keeps_users(caller: Principal) -> bool:
    """The operator, or a user who is an admin."""
    if caller.kind is PrincipalKind.USER:
        return caller.role == Role.ADMIN
    return caller.kind is PrincipalKind.INTERNAL and caller.user_id == "operator"


_ASKS_FOR_IDENTITY: Final = internal("edge", "event-service", "query-service")

RPC_RULES: Final[Mapping[str, Rule]] = {
    "/harkara.auth.v1.AuthService/Authenticate": _ASKS_FOR_IDENTITY,
    "/harkara.auth.v1.AuthService/AuthenticateBatch": _ASKS_FOR_IDENTITY,
    "/harkara.auth.v1.AuthService/WatchRevocations": _ASKS_FOR_IDENTITY,
    "/harkara.auth.v1.UserService/AddUsers": keeps_users,
    "/harkara.auth.v1.UserService/ListUsers": keeps_users,
    "/harkara.auth.v1.UserService/DisableUsers": keeps_users,
    "/harkara.auth.v1.UserService/RemoveUsers": keeps_users,
}

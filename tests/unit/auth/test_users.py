"""The rules of users and their changes, and the small pure parts beside them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara.auth.v1 import auth_service_pb2, user_service_pb2
from harkara_auth_service.domain.access import RPC_RULES
from harkara_auth_service.domain.cache import BoundedCache
from harkara_auth_service.domain.credentials import read_revoked_names
from harkara_auth_service.domain.errors import (
    InvalidRequestError,
    TokenFault,
    TokenRefusedError,
    UnknownUsersError,
    UserFault,
    UserRefusedError,
)
from harkara_auth_service.domain.token_rules import Claims, PrincipalKind
from harkara_auth_service.domain.users import (
    Change,
    ChangeReason,
    NewUser,
    Page,
    Principal,
    Role,
    User,
    UserStatus,
    after_adding,
    check_new_users,
    check_user_ids,
    judge_user,
    plan_adding,
    plan_disabling,
    plan_removing,
    read_page,
)

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 2, 1, tzinfo=UTC)


def a_user(user_id: str, role: Role = Role.SHOP, status: UserStatus = UserStatus.ACTIVE) -> User:
    return User(user_id, role, status, EARLIER, EARLIER)


KNOWN = {
    "active": a_user("active"),
    "disabled": a_user("disabled", status=UserStatus.DISABLED),
}


def claims(role: str | None = None) -> Claims:
    return Claims(PrincipalKind.USER, "active", role, (), 1000.0)


def test_a_user_is_what_the_directory_says() -> None:
    expected = Principal(PrincipalKind.USER, "active", "shop", (), 1000.0, 7)
    assert judge_user(claims(), KNOWN["active"], 7) == expected
    assert judge_user(claims("shop"), KNOWN["active"], 7) == expected


def test_a_token_that_claims_another_role_is_stale() -> None:
    with pytest.raises(TokenRefusedError) as caught:
        judge_user(claims("admin"), KNOWN["active"], 7)
    assert caught.value.fault is TokenFault.STALE_ROLE


@pytest.mark.parametrize(
    ("user", "fault"), [(None, UserFault.UNKNOWN), (KNOWN["disabled"], UserFault.DISABLED)]
)
def test_an_unknown_or_disabled_user_may_not_come_in_whatever_the_role(
    user: User | None, fault: UserFault
) -> None:
    for role in (None, "shop", "admin"):
        with pytest.raises(UserRefusedError) as caught:
            judge_user(claims(role), user, 7)
        assert caught.value.fault is fault


def test_adding_records_only_what_changes() -> None:
    wanted = [
        NewUser("new", Role.ADMIN),
        NewUser("active", Role.SHOP),
        NewUser("disabled", Role.SHOP),
    ]
    assert plan_adding(wanted, KNOWN) == [
        Change("new", ChangeReason.ADDED),
        Change("disabled", ChangeReason.ENABLED),
    ]
    assert [(user.created_at, user.updated_at) for user in after_adding(wanted, KNOWN, NOW)] == [
        (NOW, NOW),
        (EARLIER, EARLIER),
        (EARLIER, NOW),
    ]


def test_another_role_for_a_disabled_user_is_two_changes_the_revoking_one_first() -> None:
    assert plan_adding([NewUser("disabled", Role.ADMIN)], KNOWN) == [
        Change("disabled", ChangeReason.ROLE_CHANGED),
        Change("disabled", ChangeReason.ENABLED),
    ]


def test_disabling_a_disabled_user_changes_nothing() -> None:
    assert plan_disabling(["disabled", "active", "active"], KNOWN) == [
        Change("active", ChangeReason.DISABLED)
    ]


@pytest.mark.parametrize("plan", [plan_disabling, plan_removing])
def test_one_unknown_user_refuses_all_and_is_named(plan: object) -> None:
    assert callable(plan)
    with pytest.raises(UnknownUsersError, match="no such user: a, b") as caught:
        plan(["a", "active", "b", "a"], KNOWN)
    assert caught.value.user_ids == ("a", "b")


def test_of_many_unknown_users_a_few_are_named() -> None:
    assert (
        str(UnknownUsersError([f"u{n}" for n in range(7)])) == "no such user: u0, u1, u2, u3, u4 and 2 more"
    )


def test_1_to_10000_users_go_into_one_request() -> None:
    users = [NewUser(f"u{n}", Role.SHOP) for n in range(10_001)]
    check_new_users(users[:10_000])
    check_user_ids([user.user_id for user in users[:10_000]])
    for wrong in ([], users):
        with pytest.raises(InvalidRequestError, match="must be 1 to 10000"):
            check_new_users(wrong)
        with pytest.raises(InvalidRequestError, match="must be 1 to 10000"):
            check_user_ids([user.user_id for user in wrong])


@pytest.mark.parametrize("user_id", ["", "a b", "a" * 65, "a\x00", "é", "a\n"])
def test_an_odd_id_is_refused(user_id: str) -> None:
    with pytest.raises(InvalidRequestError):
        check_new_users([NewUser(user_id, Role.SHOP)])
    with pytest.raises(InvalidRequestError):
        check_user_ids([user_id])


def test_an_id_that_is_added_twice_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="once each"):
        check_new_users([NewUser("a", Role.SHOP), NewUser("a", Role.ADMIN)])


def test_a_page_is_checked_and_defaults_to_1000() -> None:
    assert read_page(0, "", []) == Page("", 1000, None)
    assert read_page(10_000, "u7", ["b", "a", "b", "\x00", "x y"]) == Page("u7", 10_000, ("b", "a"))
    assert read_page(1, "", ["\x00"]).only == ()
    for arguments in ((-1, "", []), (10_001, "", []), (1, "a b", []), (1, "", ["a"] * 10_001)):
        with pytest.raises(InvalidRequestError):
            read_page(*arguments)


def test_revoked_names_stand_one_a_line_and_an_odd_line_undoes_none() -> None:
    revoked = read_revoked_names(b"orders\r\n\n  payment  # leaked\n# note\n\xff\na b\nedge")
    assert revoked.names == {"orders", "payment", "edge"}
    assert revoked.odd_lines == (5, 6)


@given(st.binary())
def test_any_list_of_revoked_names_can_be_read(text: bytes) -> None:
    assert all(name for name in read_revoked_names(text).names)


def principal(kind: PrincipalKind, name: str, role: str) -> Principal:
    return Principal(kind, name, role, (), 0.0, 0)


CALLERS = {
    **{
        name: principal(PrincipalKind.INTERNAL, name, "internal")
        for name in ("edge", "event-service", "query-service", "operator")
    },
    "a service": principal(PrincipalKind.SERVICE, "orders", "service"),
    "a service called operator": principal(PrincipalKind.SERVICE, "operator", "service"),
    "a user called edge": principal(PrincipalKind.USER, "edge", "customer"),
    "a supporter": principal(PrincipalKind.USER, "u", "support"),
    "an admin": principal(PrincipalKind.USER, "u", "admin"),
}


@pytest.mark.parametrize(
    ("service", "allowed"),
    [
        ("AuthService", {"edge", "event-service", "query-service"}),
        ("UserService", {"operator", "an admin"}),
    ],
)
def test_each_method_admits_its_callers_and_nobody_else(service: str, allowed: set[str]) -> None:
    rules = [rule for method, rule in RPC_RULES.items() if f".{service}/" in method]
    assert rules
    for rule in rules:
        assert {name for name, caller in CALLERS.items() if rule(caller)} == allowed


def test_every_method_has_a_rule() -> None:
    """One without is refused, but better that this says so first."""
    services = [
        *auth_service_pb2.DESCRIPTOR.services_by_name.values(),
        *user_service_pb2.DESCRIPTOR.services_by_name.values(),
    ]
    methods = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    assert methods == RPC_RULES.keys()


def test_a_cache_forgets_with_time_and_for_want_of_room() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2, seconds=10)
    cache.put("a", 1, now=0)
    cache.put("b", 2, now=5)
    assert cache.get("a", now=9.9) == 1
    cache.put("c", 3, now=9.9)
    assert (cache.get("b", 9.9), cache.get("a", 9.9), len(cache)) == (None, 1, 2)
    assert cache.get("a", now=10) is None
    cache.drop("c")
    assert len(cache) == 0

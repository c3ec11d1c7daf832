"""Tokens as PyJWT, which auth-service verifies them with, sees them."""

import base64
import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_cli.errors import MisuseError
from harkara_cli.tokens import DAY_SECONDS, USER_ID, Minter

KEY = bytes(range(32))
NOW = int(time.time())

user_ids = st.from_regex(USER_ID, fullmatch=True)
seconds = st.integers(min_value=60, max_value=DAY_SECONDS)


def claims_of(token: str, **options: str) -> dict[str, object]:
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    # The run may come to a token minutes after NOW; when it ends is compared, not lived through.
    checks = {"verify_exp": False}
    return dict(jwt.decode(token, KEY, algorithms=["HS256"], options=checks, **options))  # type: ignore[arg-type]


@given(user_ids, seconds)
def test_a_users_token_is_good_for_the_user_and_the_time_asked_for(user_id: str, lasts: int) -> None:
    token = Minter(KEY).for_user(user_id, seconds=lasts, now=NOW)
    assert claims_of(token) == {"user_id": user_id, "iat": NOW, "exp": NOW + lasts}


def test_a_users_token_names_a_role_only_where_one_was_asked_for() -> None:
    assert claims_of(Minter(KEY).for_user("anna", "shop"))["user_role"] == "shop"
    assert "user_role" not in claims_of(Minter(KEY).for_user("anna"))


def test_a_services_token_carries_its_name_and_its_event_types() -> None:
    claims = claims_of(Minter(KEY).for_service("payments", ["payment_*", "order_ready"], 60, NOW))
    assert claims == {
        "user_id": "payments",
        "user_role": "service",
        "event_types": ["payment_*", "order_ready"],
        "iat": NOW,
        "exp": NOW + 60,
    }


def test_an_internal_token_lives_a_year_or_as_long_as_auth_service_allows() -> None:
    year = claims_of(Minter(KEY).for_internal("edge", NOW))
    assert year == {"user_id": "edge", "user_role": "internal", "iat": NOW, "exp": NOW + 365 * DAY_SECONDS}
    strict = Minter.from_key_text(
        base64.urlsafe_b64encode(KEY).decode(), {"HARKARA_AUTH_SERVICE_SERVICE_TOKEN_MAX_DAYS": "7"}
    )
    assert claims_of(strict.for_internal("edge", NOW))["exp"] == NOW + 7 * DAY_SECONDS


def test_issuer_and_audience_are_those_that_auth_service_wants() -> None:
    environment = {"HARKARA_AUTH_SERVICE_ISSUER": "shop", "HARKARA_AUTH_SERVICE_AUDIENCE": "harkara"}
    minter = Minter.from_key_text(base64.urlsafe_b64encode(KEY).decode(), environment)
    claims = claims_of(minter.for_user("anna"), issuer="shop", audience="harkara")
    assert (claims["iss"], claims["aud"]) == ("shop", "harkara")


def test_a_key_text_may_lack_its_padding() -> None:
    text = base64.urlsafe_b64encode(KEY).decode().rstrip("=")
    assert Minter.from_key_text(text, {}).key == KEY


@pytest.mark.parametrize(
    "text", ["", "abc", base64.urlsafe_b64encode(KEY[:31]).decode(), "A" * 44 + "!!!!", "हरकारा"]
)
def test_a_text_that_is_no_key_or_a_short_one_signs_nothing(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it is not 32 or more bytes as base64url$"):
        Minter.from_key_text(text, {})


@pytest.mark.parametrize("days", ["inf", "nan", "-4", "0", "3661", "many"])
def test_a_lifetime_that_auth_service_would_refuse_is_told_with_its_setting(days: str) -> None:
    name = "HARKARA_AUTH_SERVICE_SERVICE_TOKEN_MAX_DAYS"
    with pytest.raises(MisuseError, match=rf"^{name}={days} is no number of days above 0 and up to 3660$"):
        Minter.from_key_text(base64.urlsafe_b64encode(KEY).decode(), {name: days})


@pytest.mark.parametrize(
    ("minter", "least", "most", "ours"),
    [
        pytest.param(Minter(KEY), 50, 100, True, id="as we would mint it"),
        pytest.param(Minter(KEY), 101, 200, False, id="ends too soon"),
        pytest.param(Minter(KEY), 0, 99, False, id="lasts too long"),
        pytest.param(Minter(b"another key of thirty-two bytes."), 0, 100, False, id="another key"),
        pytest.param(Minter(KEY, issuer="shop"), 0, 100, False, id="another issuer"),
    ],
)
def test_a_credential_is_kept_only_while_we_would_mint_the_same(
    minter: Minter, least: float, most: float, *, ours: bool
) -> None:
    token = Minter(KEY).for_user("anna", seconds=100, now=NOW)
    assert minter.is_ours(token, least, most, now=NOW) is ours


@given(st.text(max_size=40))
def test_no_text_that_is_no_token_is_ours(text: str) -> None:
    assert Minter(KEY).is_ours(text, 0) is False

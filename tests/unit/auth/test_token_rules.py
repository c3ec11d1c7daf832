"""The rules of tokens. `judge` does what a verifier does with a well signed token; `refused` says why not."""

import base64
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harkara_auth_service.domain.errors import TokenFault, TokenRefusedError
from harkara_auth_service.domain.token_rules import (
    Claims,
    KeySource,
    PrincipalKind,
    TokenRules,
    decode_base64url,
    judge_claims,
    take_apart,
)
from tests.support.auth_tokens import OWN_KEY, handmade, hmac_of

NOW = 1_800_000_000.0
HEADER = '{"alg":"HS256","typ":"JWT"}'
RULES = TokenRules()
DAY = 86_400


def user(**more: object) -> dict[str, Any]:
    return {"user_id": "user_1", "exp": NOW + 60, **more}


def service(**more: object) -> dict[str, Any]:
    return {"user_id": "orders", "user_role": "service", "event_types": ["order_*"], "exp": NOW + 60, **more}


def internal(**more: object) -> dict[str, Any]:
    return {"user_id": "edge", "user_role": "internal", "exp": NOW + 60, **more}


def without(claims: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in claims.items() if key != name}


def judge(
    payload: dict[str, Any] | str | bytes,
    header: str | bytes = HEADER,
    *,
    source: KeySource = KeySource.OWN,
    rules: TokenRules = RULES,
    now: float = NOW,
) -> Claims:
    text = json.dumps(payload) if isinstance(payload, dict) else payload
    token = take_apart(handmade(header, text))
    assert token.algorithm == "HS256"
    assert hmac_of(OWN_KEY)(token.signing_input) == token.signature
    return judge_claims(token.payload, source, rules, now)


def refused(*arguments: Any, **named: Any) -> TokenFault:
    with pytest.raises(TokenRefusedError) as caught:
        judge(*arguments, **named)
    return caught.value.fault


def refused_apart(token: str) -> TokenFault:
    with pytest.raises(TokenRefusedError) as caught:
        take_apart(token)
    return caught.value.fault


def test_a_users_token_says_who_until_when_and_in_which_role() -> None:
    assert judge(user(user_role="shop")) == Claims(PrincipalKind.USER, "user_1", "shop", (), NOW + 60)
    assert judge(user()).role is None


def test_a_services_token_says_what_it_may_emit() -> None:
    claims = judge(service(event_types=["payment_*", "order_created", "*"]))
    assert claims == Claims(
        PrincipalKind.SERVICE, "orders", "service", ("payment_*", "order_created", "*"), NOW + 60
    )


@pytest.mark.parametrize("name", ["edge", "event-service", "query-service", "operator"])
def test_an_internal_token_names_a_part_of_harkara(name: str) -> None:
    claims = judge(internal(user_id=name))
    assert (claims.kind, claims.user_id, claims.event_types) == (PrincipalKind.INTERNAL, name, ())


# ---- size and form


def test_a_token_over_8_kib_is_refused_unread() -> None:
    longest = handmade(HEADER, json.dumps(user(pad="x" * 6000)))
    longest = longest + "A" * (8192 - len(longest))
    assert refused_apart(longest + "A") is TokenFault.TOO_LARGE
    assert refused_apart("." * 16_000_000) is TokenFault.TOO_LARGE
    take_apart(longest[: len(longest) - len(longest) % 4])  # Its signature is bad, its size is not.


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        "a.b",
        "a.b.c.d",
        "e30.e30.",
        " e30.e30.YQ",
        "e30.e30.YQ\n",
        "e30=.e30.YQ",
        "e3+0.e30.YQ",
        "e30.e30.Yé",
        "eyJhbGciOiJIUzI1NiJ9.e30.A",  # no whole byte
        "eyJhbGciOiJIUzI1NiJ9.e30.YR",  # "YQ" with a stray bit: another text for the same signature
        "\ud800.e30.YQ",
        "e\u00b33.e30.YQ",  # a digit to str.isdigit
    ],
)
def test_only_three_segments_of_canonical_base64url_are_a_token(token: str) -> None:
    assert refused_apart(token) is TokenFault.MALFORMED


@given(st.text())
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    with suppress(TokenRefusedError):
        take_apart(text)


@given(st.binary(), st.binary())
def test_any_header_and_payload_are_judged_or_refused(header: bytes, payload: bytes) -> None:
    with suppress(TokenRefusedError):
        judge(payload, header)


@given(st.binary())
def test_base64url_comes_back_and_has_one_spelling(data: bytes) -> None:
    text = base64.urlsafe_b64encode(data).rstrip(b"=")
    assert decode_base64url(text) == data


# ---- header


@pytest.mark.parametrize("name", ["none", "None", "HS512", "hs256", "RS512", "PS256", "ES256K", "", " HS256"])
def test_an_algorithm_that_no_key_of_ours_has_is_refused(name: str) -> None:
    assert refused(user(), json.dumps({"alg": name})) is TokenFault.ALGORITHM


@pytest.mark.parametrize("header", ['{"typ":"JWT"}', '{"alg":["HS256"]}', '{"alg":null}', '{"alg":1}'])
def test_a_header_without_a_named_algorithm_is_refused(header: str) -> None:
    assert refused(user(), header) is TokenFault.ALGORITHM


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
@pytest.mark.parametrize("value", ["https://example.test/keys", None, {}])
def test_a_header_that_brings_or_fetches_a_key_is_refused(name: str, value: object) -> None:
    assert refused(user(), json.dumps({"alg": "HS256", name: value})) is TokenFault.NAMES_A_KEY


@pytest.mark.parametrize(
    "more", [{"crit": ["exp"]}, {"crit": []}, {"crit": None}, {"b64": False}, {"b64": True}]
)
def test_an_extension_that_must_be_understood_is_refused(more: dict[str, object]) -> None:
    assert refused(user(), json.dumps({"alg": "HS256", **more})) is TokenFault.CRITICAL_EXTENSION


@pytest.mark.parametrize("kid", [1, None, "", "a b", "a\n", "k" * 129, "schlüssel", ["a"]])
def test_a_key_id_that_can_be_no_index_is_refused(kid: object) -> None:
    assert refused(user(), json.dumps({"alg": "HS256", "kid": kid})) is TokenFault.KEY_ID


@pytest.mark.parametrize("kid", ["../../../etc/passwd", "' OR 1=1 --", "https://example.test/k"])
def test_a_key_id_is_only_ever_text_to_compare(kid: str) -> None:
    text = kid.replace(" ", "")
    assert take_apart(handmade(json.dumps({"alg": "RS256", "kid": text}), "{}")).key_id == text


@pytest.mark.parametrize("typ", ["JWS", "", 1, None, "JOSE"])
def test_another_type_of_token_is_refused(typ: object) -> None:
    assert refused(user(), json.dumps({"alg": "HS256", "typ": typ})) is TokenFault.HEADER_TYPE


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt"])
def test_the_types_of_access_tokens_are_accepted(typ: str) -> None:
    judge(user(), json.dumps({"alg": "HS256", "typ": typ}))


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ('{"alg":"none","alg":"HS256"}', TokenFault.DUPLICATE_NAME),
        ('{"alg":"HS256","x":{"a":1,"a":2}}', TokenFault.DUPLICATE_NAME),
        ('["HS256"]', TokenFault.MALFORMED),
        ('"HS256"', TokenFault.MALFORMED),
        ('{"alg":"HS256"} {}', TokenFault.MALFORMED),
        ('{"alg":"HS256","x":NaN}', TokenFault.MALFORMED),
        (b'{"alg":"HS256","x":"\xff"}', TokenFault.MALFORMED),
        (b'\xef\xbb\xbf{"alg":"HS256"}', TokenFault.MALFORMED),
        ('{"alg":"HS256"}'.encode("utf-16"), TokenFault.MALFORMED),
        ("[" * 3000, TokenFault.MALFORMED),
    ],
)
def test_a_header_is_one_strict_json_object(header: str | bytes, fault: TokenFault) -> None:
    assert refused(user(), header) is fault


# ---- payload


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        ('{"exp":1800000060,"user_id":"user_1","user_id":"admin_1"}', TokenFault.DUPLICATE_NAME),
        ('{"exp":1,"exp":1800000060,"user_id":"user_1"}', TokenFault.DUPLICATE_NAME),
        ('{"exp":1800000060,"user_id":"user_1","x":[{"a":1,"a":1}]}', TokenFault.DUPLICATE_NAME),
        ('{"exp":Infinity,"user_id":"user_1"}', TokenFault.MALFORMED),
        (b'{"exp":1800000060,"user_id":"\xc3\x28"}', TokenFault.MALFORMED),
        ("[]", TokenFault.MALFORMED),
        ("null", TokenFault.MALFORMED),
        ("no json", TokenFault.MALFORMED),
        ('{"exp":' + "9" * 5000 + "}", TokenFault.MALFORMED),
        ('{"a":' * 700 + "1" + "}" * 700, TokenFault.NO_EXPIRY),
        ('{"a":' * 1000 + "1", TokenFault.MALFORMED),
    ],
)
def test_a_payload_is_one_strict_json_object(payload: str | bytes, fault: TokenFault) -> None:
    assert refused(payload) is fault


def test_a_payload_nested_past_the_readers_depth_is_refused() -> None:
    assert refused("[" * 5000 + "]" * 500) is TokenFault.MALFORMED


def test_a_token_needs_an_expiry() -> None:
    assert refused(without(user(), "exp")) is TokenFault.NO_EXPIRY


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [True, False, None, "1800000060", [], {}, "NaN"])
def test_a_time_is_a_number(name: str, value: object) -> None:
    assert refused(user(**{name: value})) is TokenFault.CLAIM_TYPE


@pytest.mark.parametrize("value", ["1e999", "-1e999", "9" * 400])
def test_a_time_is_a_finite_number(value: str) -> None:
    assert refused(f'{{"user_id":"user_1","exp":{value}}}') is TokenFault.CLAIM_TYPE


def test_a_token_is_good_up_to_5_seconds_past_its_expiry() -> None:
    assert judge(user(exp=NOW - 4.9)).expires_at == NOW - 4.9
    assert refused(user(exp=NOW - 5)) is TokenFault.EXPIRED
    assert refused(user(exp=0)) is TokenFault.EXPIRED
    assert refused(user(exp=-1)) is TokenFault.EXPIRED


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_is_not_good_5_seconds_before_its_start(name: str) -> None:
    judge(user(**{name: NOW + 5}))
    assert refused(user(**{name: NOW + 5.1})) is TokenFault.NOT_YET_VALID


def test_a_users_token_lives_24_hours_from_now_whatever_it_says_of_its_start() -> None:
    judge(user(exp=NOW + DAY + 5))
    assert refused(user(exp=NOW + DAY + 6)) is TokenFault.LIFETIME
    assert refused(user(exp=NOW + DAY + 6, iat=NOW + 1)) is TokenFault.LIFETIME
    assert refused(user(exp=NOW + 3650 * DAY)) is TokenFault.LIFETIME
    assert refused(user(exp=10**18)) is TokenFault.LIFETIME


@pytest.mark.parametrize("make", [service, internal])
def test_a_credential_lives_as_long_as_the_deployment_says(make: Any) -> None:
    judge(make(exp=NOW + 400 * DAY))
    assert refused(make(exp=NOW + 401 * DAY)) is TokenFault.LIFETIME
    assert (
        refused(make(exp=NOW + 2 * DAY), rules=TokenRules(service_lifetime_seconds=DAY))
        is TokenFault.LIFETIME
    )


@pytest.mark.parametrize(
    "user_id",
    [None, 1, True, [], "", "a b", "a/b", "a" * 65, "usér", "a\n", "a\x00", "../x", "user_1\u200b", {"a": 1}],
)
def test_a_user_id_is_1_to_64_plain_characters(user_id: object) -> None:
    assert refused(user(user_id=user_id)) is TokenFault.USER_ID


def test_a_token_needs_a_user_id_and_sub_is_none() -> None:
    assert refused(without(user(sub="user_1"), "user_id")) is TokenFault.USER_ID


@pytest.mark.parametrize("role", ["root", "", "Admin", "INTERNAL", "admin "])
def test_a_role_that_nobody_has_is_refused(role: str) -> None:
    assert refused(user(user_role=role)) is TokenFault.ROLE


@pytest.mark.parametrize("role", [None, 1, ["admin"], True, {}])
def test_a_role_is_text(role: object) -> None:
    assert refused(user(user_role=role)) is TokenFault.CLAIM_TYPE


@pytest.mark.parametrize("name", ["auth-service", "orders", "Edge", "postgres"])
def test_an_internal_token_names_nobody_else(name: str) -> None:
    assert refused(internal(user_id=name)) is TokenFault.USER_ID


@pytest.mark.parametrize(
    "event_types",
    [
        None,
        [],
        "order_*",
        {"a": 1},
        [1],
        [""],
        ["order *"],
        ["Order_*"],
        ["order_?"],
        ["[a]*"],
        ["a" * 65],
        ["1a"],
        ["*"] * 101,
    ],
)
def test_a_services_event_types_are_1_to_100_globs(event_types: object) -> None:
    assert refused(service(event_types=event_types)) is TokenFault.EVENT_TYPES


def test_a_service_without_event_types_is_refused() -> None:
    assert refused(without(service(), "event_types")) is TokenFault.EVENT_TYPES


def test_event_types_in_a_users_token_grant_nothing() -> None:
    assert judge(user(event_types=["*"])).event_types == ()


# ---- issuer and audience


def test_the_issuer_is_checked_where_one_is_configured() -> None:
    rules = replace(RULES, issuer="https://id.example.test")
    judge(user(iss="https://id.example.test"), rules=rules)
    assert refused(user(iss="https://id.example.test/"), rules=rules) is TokenFault.ISSUER
    assert refused(user(), rules=rules) is TokenFault.ISSUER
    judge(user(iss="anybody"))


def test_the_audience_is_checked_where_one_is_configured() -> None:
    rules = replace(RULES, audience="harkara")
    judge(user(aud="harkara"), rules=rules)
    judge(user(aud=["shop", "harkara"]), rules=rules)
    for claims in (user(), user(aud="shop"), user(aud=[]), user(aud=["harkar"]), user(aud="harkara2")):
        assert refused(claims, rules=rules) is TokenFault.AUDIENCE
    judge(user(aud="anybody"))


@pytest.mark.parametrize(
    "more", [{"iss": 1}, {"iss": None}, {"aud": 1}, {"aud": None}, {"aud": ["harkara", 1]}]
)
def test_issuer_and_audience_are_text_also_where_none_is_configured(more: dict[str, object]) -> None:
    assert refused(user(**more)) is TokenFault.CLAIM_TYPE


# ---- what a key may sign


def test_a_key_of_a_key_set_signs_users_only() -> None:
    judge(user(), source=KeySource.KEY_SET)
    assert refused(service(), source=KeySource.KEY_SET) is TokenFault.KEY_MAY_NOT
    assert refused(internal(), source=KeySource.KEY_SET) is TokenFault.KEY_MAY_NOT


def test_a_setting_lets_a_key_set_sign_services_but_never_internal_tokens() -> None:
    rules = replace(RULES, key_set_may_sign_services=True)
    judge(service(), source=KeySource.KEY_SET, rules=rules)
    assert refused(internal(), source=KeySource.KEY_SET, rules=rules) is TokenFault.KEY_MAY_NOT


# ---- properties

_TIMES = st.floats(NOW - 3 * DAY, NOW + 3 * DAY)


@given(_TIMES, _TIMES)
def test_a_good_users_token_ends_within_the_day_and_not_before_now(exp: float, now: float) -> None:
    try:
        claims = judge(user(exp=exp), now=now)
    except TokenRefusedError:
        assert exp + 5 <= now or exp - now > DAY + 5
    else:
        assert now - 5 < claims.expires_at <= now + DAY + 5


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_CLAIM = st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "user_id", "user_role", "event_types", "x"])


@given(st.dictionaries(_CLAIM, _JSON), st.sampled_from([user(), service(), internal()]))
def test_whatever_claims_hold_they_are_judged_or_refused(odd: dict[str, Any], good: dict[str, Any]) -> None:
    try:
        claims = judge({**good, **odd})
    except TokenRefusedError:
        return
    assert claims.user_id
    assert (claims.event_types != ()) is (claims.kind is PrincipalKind.SERVICE)

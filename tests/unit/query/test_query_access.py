"""Who may read what over REST: the table of the design, cell by cell."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from harkara_catalogue import Catalogue
from harkara_query_service.adapters.console import Console
from harkara_query_service.adapters.routes import create_app
from harkara_query_service.domain import access
from harkara_query_service.domain.access import Reach, Reader, Verdict, judge, reach
from harkara_query_service.metrics import Metrics
from harkara_servicekit.origins import OriginRule

OWN_PATHS = (access.EVENT, access.DELIVERY, access.USER_EVENTS)
STAFF_PATHS = (access.STATS, access.SUMMARY, access.CRITICAL_EVENTS)


@pytest.mark.parametrize("role", ["customer", "delivery_boy", "shop"])
def test_people_reach_their_own_events_and_nothing_else(role: str) -> None:
    assert {path: reach(path, role) for path in (*OWN_PATHS, *STAFF_PATHS)} == {
        **dict.fromkeys(OWN_PATHS, Reach.OWN),
        **dict.fromkeys(STAFF_PATHS, Reach.NOTHING),
    }


@pytest.mark.parametrize("role", ["support", "admin"])
def test_support_and_admin_reach_everything(role: str) -> None:
    assert {reach(path, role) for path in (*OWN_PATHS, *STAFF_PATHS)} == {Reach.ANY}


@given(st.text())
def test_a_role_that_the_table_does_not_name_reaches_nothing(role: str) -> None:
    if role not in {"customer", "delivery_boy", "shop", "support", "admin"}:
        assert {reach(path, role) for path in access.READS} == {Reach.NOTHING}


@given(st.text())
def test_a_path_that_the_table_does_not_name_is_reached_by_nobody(path: str) -> None:
    if path not in access.READS:
        assert reach(path, "admin") is Reach.NOTHING


@pytest.mark.parametrize(
    ("granted", "owner", "verdict"),
    [
        (Reach.NOTHING, "me", Verdict.REFUSE),
        (Reach.NOTHING, "other", Verdict.REFUSE),
        (Reach.OWN, "me", Verdict.ALLOW),
        (Reach.OWN, "other", Verdict.REFUSE),
        (Reach.ANY, "me", Verdict.ALLOW),
        (Reach.ANY, "other", Verdict.ALLOW_AUDITED),
    ],
)
def test_a_read_of_anothers_events_is_refused_or_audited(
    granted: Reach, owner: str, verdict: Verdict
) -> None:
    assert judge(granted, Reader("me", "any"), owner) is verdict


def test_every_path_that_is_served_has_a_rule() -> None:
    app = create_app(
        cast("Any", None),
        catalogue=Catalogue.reference(),
        origins=OriginRule.parse("loopback"),
        max_requests=1,
        metrics=Metrics(CollectorRegistry()),
        console=Console(None),
    )
    served = {cast("Any", route).path for route in app.routes}
    assert served == set(access.READS) | access.PUBLIC

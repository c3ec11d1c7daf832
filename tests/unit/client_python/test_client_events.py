"""The classes of events and how their data becomes JSON."""

from __future__ import annotations

import math
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from harkara_catalogue import GRPC_STATUS_NUMBERS, MAX_DATA_BYTES, Catalogue, check_data
from harkara_catalogue.shapes import ObjectShape
from harkara_client import event_draft
from harkara_client.emit_queue import REFUSALS
from harkara_client.event_draft import json_of
from harkara_client.events import BY_TYPE, DeliveryArrived, DeliveryArrivedLocation, OrderCreated

GENERATOR = Path(__file__).resolve().parents[3] / "clients" / "python" / "generate.py"


def test_the_classes_are_as_the_catalogue_is() -> None:
    done = subprocess.run(  # noqa: S603 - our own script.
        [sys.executable, str(GENERATOR), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", Catalogue.reference().types)
def test_each_type_has_its_class_with_its_fields(name: str) -> None:
    shape = Catalogue.reference().types[name].data
    assert isinstance(shape, ObjectShape)
    assert BY_TYPE[name].event_type == name
    assert list(BY_TYPE[name].__struct_fields__) == list(shape.fields)
    assert json_of(BY_TYPE[name]()) == "{}"


def test_what_the_classes_make_is_what_the_catalogue_takes() -> None:
    arrived = DeliveryArrived(
        delivery_id="d",
        location=DeliveryArrivedLocation(latitude=1.5, longitude=Decimal("77.10")),
        arrived_at=None,
    )
    text = json_of(arrived)
    assert text == '{"delivery_id":"d","location":{"latitude":1.5,"longitude":77.10},"arrived_at":null}'
    assert check_data(Catalogue.reference(), "delivery_arrived", text) is None


@pytest.mark.parametrize("number", [math.nan, math.inf, Decimal("NaN"), Decimal("Infinity")])
def test_what_is_no_number_is_refused_wherever_it_stands(number: float | Decimal) -> None:
    for data in ({"a": {"b": [1, number]}}, OrderCreated(total_amount=number)):
        with pytest.raises(ValueError, match="NaN"):
            json_of(data)
    assert json_of({"a": None, "b": "NaN"}) == '{"a":null,"b":"NaN"}'


@pytest.mark.parametrize("data", [[1], "text", 1, None])
def test_data_is_an_object(data: object) -> None:
    with pytest.raises(TypeError):
        json_of(data)


def test_the_refusals_and_the_bound_are_the_contracts() -> None:
    assert {name: number for number, name in REFUSALS.items()} == {
        name: GRPC_STATUS_NUMBERS[name] for name in REFUSALS.values()
    }
    assert set(REFUSALS.values()) == {
        "INVALID_ARGUMENT",
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "ALREADY_EXISTS",
        "UNIMPLEMENTED",
    }
    assert event_draft.MAX_DATA_BYTES == MAX_DATA_BYTES


def test_an_object_reads_back_what_it_knows() -> None:
    read = msgspec.convert(
        {"order_id": "o", "items": [{"name": "Tea", "price": 1.5}], "more": 1}, OrderCreated
    )
    assert read.order_id == "o"
    assert read.total_amount is msgspec.UNSET

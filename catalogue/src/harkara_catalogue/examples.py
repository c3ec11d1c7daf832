"""An example of each event type's `data`, for documents and for whoever tries a type out.

Those of the reference's types are the reference's own; a type that a deployment adds has one made from
its shape.

What does not belong here: examples of whole messages (`asyncapi`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from harkara_catalogue.event_types import EventType
from harkara_catalogue.shapes import ArrayShape, Scalar, Shape

Data: TypeAlias = dict[str, Any]

_SCALARS: Final[Mapping[Scalar, Any]] = {
    Scalar.STRING: "text",
    Scalar.NUMBER: 1,
    Scalar.BOOLEAN: True,
    Scalar.ANY: "anything",
}


def example_data(event_type: EventType) -> Data:
    """Return an example of a type's `data`, in which every known field stands.

    Returns:
        A new dictionary, the caller's to change.
    """
    known = _REFERENCE.get(event_type.name)
    found: Data = _copied(known) if known is not None else _made(event_type.data)
    return found


def _made(shape: Shape) -> Any:
    if isinstance(shape, Scalar):
        return _SCALARS[shape]
    if isinstance(shape, ArrayShape):
        return [_made(shape.items)]
    return {name: _made(field) for name, field in shape.fields.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(part) for name, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list) else value


_REFERENCE: Final[Mapping[str, Data]] = {
    "earning_recorded": {
        "amount": 75,
        "delivery_id": "del_456",
        "breakdown": {
            "base": 50,
            "distance_bonus": 25,
            "on_time_bonus": 0,
            "rating_bonus": 0,
        },
        "new_balance": 2575,
        "timestamp": "2026-01-27T14:30:00Z",
    },
    "bonus_earned": {
        "amount": 50,
        "bonus_type": "on_time",
        "trigger": "95% on-time deliveries",
        "period": "2026-01",
        "new_balance": 2625,
    },
    "payout_approved": {
        "payout_id": "payout_789",
        "amount": 2000,
        "bank_account": "****1234",
        "estimated_transfer_date": "2026-01-28",
        "estimated_transfer_time": "18:00:00",
    },
    "payout_completed": {
        "payout_id": "payout_789",
        "amount": 2000,
        "transaction_id": "txn_abc123",
        "bank_account": "****1234",
        "transferred_at": "2026-01-28T18:15:00Z",
    },
    "wallet_updated": {
        "previous_balance": 2575,
        "new_balance": 2625,
        "change": 50,
        "change_reason": "bonus_earned",
        "timestamp": "2026-01-27T14:30:00Z",
    },
    "delivery_accepted": {
        "delivery_id": "del_456",
        "delivery_boy_id": "dboy_123",
        "delivery_boy_name": "Ram Kumar",
        "delivery_boy_rating": 4.8,
        "vehicle_type": "bike",
        "accepted_at": "2026-01-27T14:20:00Z",
        "estimated_pickup_time": 5,
        "estimated_delivery_time": 25,
    },
    "delivery_in_transit": {
        "delivery_id": "del_456",
        "location": {
            "latitude": 28.5244,
            "longitude": 77.1855,
            "address": "Delhi",
        },
        "accuracy": 10,
        "eta_minutes": 22,
        "distance_remaining_km": 3.5,
        "updated_at": "2026-01-27T14:25:00Z",
    },
    "delivery_arrived": {
        "delivery_id": "del_456",
        "delivery_boy_id": "dboy_123",
        "delivery_boy_name": "Ram Kumar",
        "location": {
            "latitude": 28.5244,
            "longitude": 77.1855,
        },
        "phone_number": "****7890",
        "arrived_at": "2026-01-27T14:45:00Z",
    },
    "delivery_completed": {
        "delivery_id": "del_456",
        "order_id": "ord_123",
        "completed_at": "2026-01-27T14:48:00Z",
        "total_time_minutes": 28,
        "delivery_rating": None,
        "payment_status": "paid",
    },
    "order_created": {
        "order_id": "ord_123",
        "items": [
            {
                "name": "Milk",
                "quantity": 2,
                "price": 60,
            },
            {
                "name": "Bread",
                "quantity": 1,
                "price": 40,
            },
        ],
        "total_amount": 100,
        "delivery_fee": 30,
        "total_with_fee": 130,
        "delivery_address": "Apt 123, Delhi",
        "estimated_delivery_time": "30 minutes",
        "created_at": "2026-01-27T14:20:00Z",
    },
    "order_confirmed": {
        "order_id": "ord_123",
        "confirmation_time": "2026-01-27T14:22:00Z",
        "shop_name": "XYZ Kirana",
        "estimated_ready_time": "2026-01-27T14:25:00Z",
    },
    "order_ready": {
        "order_id": "ord_123",
        "ready_at": "2026-01-27T14:25:00Z",
        "pickup_by": "2026-01-27T14:35:00Z",
    },
    "payment_initiated": {
        "payment_id": "pay_123",
        "order_id": "ord_123",
        "amount": 130,
        "currency": "INR",
        "method": "upi",
        "initiated_at": "2026-01-27T14:20:00Z",
    },
    "payment_completed": {
        "payment_id": "pay_123",
        "order_id": "ord_123",
        "amount": 130,
        "method": "upi",
        "upi_id": "user@bank",
        "transaction_id": "txn_abc123",
        "completed_at": "2026-01-27T14:20:30Z",
    },
    "payment_failed": {
        "payment_id": "pay_123",
        "order_id": "ord_123",
        "amount": 130,
        "method": "upi",
        "error": "Insufficient balance",
        "failed_at": "2026-01-27T14:20:30Z",
        "retry_available": True,
    },
    "location_updated": {
        "delivery_id": "del_456",
        "latitude": 28.5244,
        "longitude": 77.1855,
        "accuracy": 10,
        "altitude": 190,
        "speed": 15,
        "heading": 45,
        "timestamp": "2026-01-27T14:30:00Z",
    },
    "eta_updated": {
        "delivery_id": "del_456",
        "eta_minutes": 15,
        "eta_timestamp": "2026-01-27T14:45:00Z",
        "distance_remaining_km": 3.5,
        "previous_eta_minutes": 20,
        "updated_at": "2026-01-27T14:30:00Z",
    },
}

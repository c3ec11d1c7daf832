"""The `data` of each type of event, as a class; for `Emitter.emit_event` and `Event.data_as`.

Every field may be left out, and may be null. Fields that are not named here go in a plain mapping, with
`Emitter.emit`.

Generated from the catalogue by clients/python/generate.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from harkara_client.event_data import EventData, Number


class EarningRecordedBreakdown(Struct, kw_only=True):
    """Of EarningRecorded."""

    base: Number | UnsetType | None = UNSET
    distance_bonus: Number | UnsetType | None = UNSET
    on_time_bonus: Number | UnsetType | None = UNSET
    rating_bonus: Number | UnsetType | None = UNSET


class EarningRecorded(EventData, kw_only=True):
    """Delivery completed and earning calculated. Medium."""

    event_type: ClassVar[str] = "earning_recorded"

    amount: Number | UnsetType | None = UNSET
    delivery_id: str | UnsetType | None = UNSET
    breakdown: EarningRecordedBreakdown | UnsetType | None = UNSET
    new_balance: Number | UnsetType | None = UNSET
    timestamp: str | UnsetType | None = UNSET


class BonusEarned(EventData, kw_only=True):
    """Bonus threshold reached. High."""

    event_type: ClassVar[str] = "bonus_earned"

    amount: Number | UnsetType | None = UNSET
    bonus_type: str | UnsetType | None = UNSET
    trigger: str | UnsetType | None = UNSET
    period: str | UnsetType | None = UNSET
    new_balance: Number | UnsetType | None = UNSET


class PayoutApproved(EventData, kw_only=True):
    """Admin approves withdrawal request. High."""

    event_type: ClassVar[str] = "payout_approved"

    payout_id: str | UnsetType | None = UNSET
    amount: Number | UnsetType | None = UNSET
    bank_account: str | UnsetType | None = UNSET
    estimated_transfer_date: str | UnsetType | None = UNSET
    estimated_transfer_time: str | UnsetType | None = UNSET


class PayoutCompleted(EventData, kw_only=True):
    """Money transferred to delivery boy's account. High."""

    event_type: ClassVar[str] = "payout_completed"

    payout_id: str | UnsetType | None = UNSET
    amount: Number | UnsetType | None = UNSET
    transaction_id: str | UnsetType | None = UNSET
    bank_account: str | UnsetType | None = UNSET
    transferred_at: str | UnsetType | None = UNSET


class WalletUpdated(EventData, kw_only=True):
    """Wallet balance changes. Medium."""

    event_type: ClassVar[str] = "wallet_updated"

    previous_balance: Number | UnsetType | None = UNSET
    new_balance: Number | UnsetType | None = UNSET
    change: Number | UnsetType | None = UNSET
    change_reason: str | UnsetType | None = UNSET
    timestamp: str | UnsetType | None = UNSET


class DeliveryAccepted(EventData, kw_only=True):
    """Delivery boy accepts delivery request. High."""

    event_type: ClassVar[str] = "delivery_accepted"

    delivery_id: str | UnsetType | None = UNSET
    delivery_boy_id: str | UnsetType | None = UNSET
    delivery_boy_name: str | UnsetType | None = UNSET
    delivery_boy_rating: Number | UnsetType | None = UNSET
    vehicle_type: str | UnsetType | None = UNSET
    accepted_at: str | UnsetType | None = UNSET
    estimated_pickup_time: Number | UnsetType | None = UNSET
    estimated_delivery_time: Number | UnsetType | None = UNSET


class DeliveryInTransitLocation(Struct, kw_only=True):
    """Of DeliveryInTransit."""

    latitude: Number | UnsetType | None = UNSET
    longitude: Number | UnsetType | None = UNSET
    address: str | UnsetType | None = UNSET


class DeliveryInTransit(EventData, kw_only=True):
    """Delivery boy picks up and starts moving. Medium."""

    event_type: ClassVar[str] = "delivery_in_transit"

    delivery_id: str | UnsetType | None = UNSET
    location: DeliveryInTransitLocation | UnsetType | None = UNSET
    accuracy: Number | UnsetType | None = UNSET
    eta_minutes: Number | UnsetType | None = UNSET
    distance_remaining_km: Number | UnsetType | None = UNSET
    updated_at: str | UnsetType | None = UNSET


class DeliveryArrivedLocation(Struct, kw_only=True):
    """Of DeliveryArrived."""

    latitude: Number | UnsetType | None = UNSET
    longitude: Number | UnsetType | None = UNSET


class DeliveryArrived(EventData, kw_only=True):
    """Delivery boy arrives at destination. High."""

    event_type: ClassVar[str] = "delivery_arrived"

    delivery_id: str | UnsetType | None = UNSET
    delivery_boy_id: str | UnsetType | None = UNSET
    delivery_boy_name: str | UnsetType | None = UNSET
    location: DeliveryArrivedLocation | UnsetType | None = UNSET
    phone_number: str | UnsetType | None = UNSET
    arrived_at: str | UnsetType | None = UNSET


class DeliveryCompleted(EventData, kw_only=True):
    """Delivery confirmed as complete. High."""

    event_type: ClassVar[str] = "delivery_completed"

    delivery_id: str | UnsetType | None = UNSET
    order_id: str | UnsetType | None = UNSET
    completed_at: str | UnsetType | None = UNSET
    total_time_minutes: Number | UnsetType | None = UNSET
    delivery_rating: Number | UnsetType | None = UNSET
    payment_status: str | UnsetType | None = UNSET


class OrderCreatedItem(Struct, kw_only=True):
    """Of OrderCreated."""

    name: str | UnsetType | None = UNSET
    quantity: Number | UnsetType | None = UNSET
    price: Number | UnsetType | None = UNSET


class OrderCreated(EventData, kw_only=True):
    """New order placed. High."""

    event_type: ClassVar[str] = "order_created"

    order_id: str | UnsetType | None = UNSET
    items: Sequence[OrderCreatedItem] | UnsetType | None = UNSET
    total_amount: Number | UnsetType | None = UNSET
    delivery_fee: Number | UnsetType | None = UNSET
    total_with_fee: Number | UnsetType | None = UNSET
    delivery_address: str | UnsetType | None = UNSET
    estimated_delivery_time: str | UnsetType | None = UNSET
    created_at: str | UnsetType | None = UNSET


class OrderConfirmed(EventData, kw_only=True):
    """Shop confirms order. High."""

    event_type: ClassVar[str] = "order_confirmed"

    order_id: str | UnsetType | None = UNSET
    confirmation_time: str | UnsetType | None = UNSET
    shop_name: str | UnsetType | None = UNSET
    estimated_ready_time: str | UnsetType | None = UNSET


class OrderReady(EventData, kw_only=True):
    """Shop has prepared order. High."""

    event_type: ClassVar[str] = "order_ready"

    order_id: str | UnsetType | None = UNSET
    ready_at: str | UnsetType | None = UNSET
    pickup_by: str | UnsetType | None = UNSET


class PaymentInitiated(EventData, kw_only=True):
    """Payment process started. High."""

    event_type: ClassVar[str] = "payment_initiated"

    payment_id: str | UnsetType | None = UNSET
    order_id: str | UnsetType | None = UNSET
    amount: Number | UnsetType | None = UNSET
    currency: str | UnsetType | None = UNSET
    method: str | UnsetType | None = UNSET
    initiated_at: str | UnsetType | None = UNSET


class PaymentCompleted(EventData, kw_only=True):
    """Payment received. High."""

    event_type: ClassVar[str] = "payment_completed"

    payment_id: str | UnsetType | None = UNSET
    order_id: str | UnsetType | None = UNSET
    amount: Number | UnsetType | None = UNSET
    method: str | UnsetType | None = UNSET
    upi_id: str | UnsetType | None = UNSET
    transaction_id: str | UnsetType | None = UNSET
    completed_at: str | UnsetType | None = UNSET


class PaymentFailed(EventData, kw_only=True):
    """Payment failed. Critical."""

    event_type: ClassVar[str] = "payment_failed"

    payment_id: str | UnsetType | None = UNSET
    order_id: str | UnsetType | None = UNSET
    amount: Number | UnsetType | None = UNSET
    method: str | UnsetType | None = UNSET
    error: str | UnsetType | None = UNSET
    failed_at: str | UnsetType | None = UNSET
    retry_available: bool | UnsetType | None = UNSET


class LocationUpdated(EventData, kw_only=True):
    """Delivery boy's location changes (every 30-60 seconds). Low."""

    event_type: ClassVar[str] = "location_updated"

    delivery_id: str | UnsetType | None = UNSET
    latitude: Number | UnsetType | None = UNSET
    longitude: Number | UnsetType | None = UNSET
    accuracy: Number | UnsetType | None = UNSET
    altitude: Number | UnsetType | None = UNSET
    speed: Number | UnsetType | None = UNSET
    heading: Number | UnsetType | None = UNSET
    timestamp: str | UnsetType | None = UNSET


class EtaUpdated(EventData, kw_only=True):
    """ETA changes. Medium."""

    event_type: ClassVar[str] = "eta_updated"

    delivery_id: str | UnsetType | None = UNSET
    eta_minutes: Number | UnsetType | None = UNSET
    eta_timestamp: str | UnsetType | None = UNSET
    distance_remaining_km: Number | UnsetType | None = UNSET
    previous_eta_minutes: Number | UnsetType | None = UNSET
    updated_at: str | UnsetType | None = UNSET


BY_TYPE: dict[str, type[EventData]] = {
    "earning_recorded": EarningRecorded,
    "bonus_earned": BonusEarned,
    "payout_approved": PayoutApproved,
    "payout_completed": PayoutCompleted,
    "wallet_updated": WalletUpdated,
    "delivery_accepted": DeliveryAccepted,
    "delivery_in_transit": DeliveryInTransit,
    "delivery_arrived": DeliveryArrived,
    "delivery_completed": DeliveryCompleted,
    "order_created": OrderCreated,
    "order_confirmed": OrderConfirmed,
    "order_ready": OrderReady,
    "payment_initiated": PaymentInitiated,
    "payment_completed": PaymentCompleted,
    "payment_failed": PaymentFailed,
    "location_updated": LocationUpdated,
    "eta_updated": EtaUpdated,
}
"""The classes by the names of their types."""

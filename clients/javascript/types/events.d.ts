// Made from the catalogue of event types; not to be changed by hand.

export type EventLevel = "low" | "medium" | "high" | "critical";

/** Delivery completed and earning calculated. */
export interface EarningRecordedData {
  amount?: number | null;
  delivery_id?: string | null;
  breakdown?: {
    base?: number | null;
    distance_bonus?: number | null;
    on_time_bonus?: number | null;
    rating_bonus?: number | null;
    [further: string]: unknown;
  } | null;
  new_balance?: number | null;
  timestamp?: string | null;
  [further: string]: unknown;
}

/** Bonus threshold reached. */
export interface BonusEarnedData {
  amount?: number | null;
  bonus_type?: string | null;
  trigger?: string | null;
  period?: string | null;
  new_balance?: number | null;
  [further: string]: unknown;
}

/** Admin approves withdrawal request. */
export interface PayoutApprovedData {
  payout_id?: string | null;
  amount?: number | null;
  bank_account?: string | null;
  estimated_transfer_date?: string | null;
  estimated_transfer_time?: string | null;
  [further: string]: unknown;
}

/** Money transferred to delivery boy's account. */
export interface PayoutCompletedData {
  payout_id?: string | null;
  amount?: number | null;
  transaction_id?: string | null;
  bank_account?: string | null;
  transferred_at?: string | null;
  [further: string]: unknown;
}

/** Wallet balance changes. */
export interface WalletUpdatedData {
  previous_balance?: number | null;
  new_balance?: number | null;
  change?: number | null;
  change_reason?: string | null;
  timestamp?: string | null;
  [further: string]: unknown;
}

/** Delivery boy accepts delivery request. */
export interface DeliveryAcceptedData {
  delivery_id?: string | null;
  delivery_boy_id?: string | null;
  delivery_boy_name?: string | null;
  delivery_boy_rating?: number | null;
  vehicle_type?: string | null;
  accepted_at?: string | null;
  estimated_pickup_time?: number | null;
  estimated_delivery_time?: number | null;
  [further: string]: unknown;
}

/** Delivery boy picks up and starts moving. */
export interface DeliveryInTransitData {
  delivery_id?: string | null;
  location?: {
    latitude?: number | null;
    longitude?: number | null;
    address?: string | null;
    [further: string]: unknown;
  } | null;
  accuracy?: number | null;
  eta_minutes?: number | null;
  distance_remaining_km?: number | null;
  updated_at?: string | null;
  [further: string]: unknown;
}

/** Delivery boy arrives at destination. */
export interface DeliveryArrivedData {
  delivery_id?: string | null;
  delivery_boy_id?: string | null;
  delivery_boy_name?: string | null;
  location?: {
    latitude?: number | null;
    longitude?: number | null;
    [further: string]: unknown;
  } | null;
  phone_number?: string | null;
  arrived_at?: string | null;
  [further: string]: unknown;
}

/** Delivery confirmed as complete. */
export interface DeliveryCompletedData {
  delivery_id?: string | null;
  order_id?: string | null;
  completed_at?: string | null;
  total_time_minutes?: number | null;
  delivery_rating?: number | null;
  payment_status?: string | null;
  [further: string]: unknown;
}

/** New order placed. */
export interface OrderCreatedData {
  order_id?: string | null;
  items?: Array<{
    name?: string | null;
    quantity?: number | null;
    price?: number | null;
    [further: string]: unknown;
  }> | null;
  total_amount?: number | null;
  delivery_fee?: number | null;
  total_with_fee?: number | null;
  delivery_address?: string | null;
  estimated_delivery_time?: string | null;
  created_at?: string | null;
  [further: string]: unknown;
}

/** Shop confirms order. */
export interface OrderConfirmedData {
  order_id?: string | null;
  confirmation_time?: string | null;
  shop_name?: string | null;
  estimated_ready_time?: string | null;
  [further: string]: unknown;
}

/** Shop has prepared order. */
export interface OrderReadyData {
  order_id?: string | null;
  ready_at?: string | null;
  pickup_by?: string | null;
  [further: string]: unknown;
}

/** Payment process started. */
export interface PaymentInitiatedData {
  payment_id?: string | null;
  order_id?: string | null;
  amount?: number | null;
  currency?: string | null;
  method?: string | null;
  initiated_at?: string | null;
  [further: string]: unknown;
}

/** Payment received. */
export interface PaymentCompletedData {
  payment_id?: string | null;
  order_id?: string | null;
  amount?: number | null;
  method?: string | null;
  upi_id?: string | null;
  transaction_id?: string | null;
  completed_at?: string | null;
  [further: string]: unknown;
}

/** Payment failed. */
export interface PaymentFailedData {
  payment_id?: string | null;
  order_id?: string | null;
  amount?: number | null;
  method?: string | null;
  error?: string | null;
  failed_at?: string | null;
  retry_available?: boolean | null;
  [further: string]: unknown;
}

/** Delivery boy's location changes (every 30-60 seconds). */
export interface LocationUpdatedData {
  delivery_id?: string | null;
  latitude?: number | null;
  longitude?: number | null;
  accuracy?: number | null;
  altitude?: number | null;
  speed?: number | null;
  heading?: number | null;
  timestamp?: string | null;
  [further: string]: unknown;
}

/** ETA changes. */
export interface EtaUpdatedData {
  delivery_id?: string | null;
  eta_minutes?: number | null;
  eta_timestamp?: string | null;
  distance_remaining_km?: number | null;
  previous_eta_minutes?: number | null;
  updated_at?: string | null;
  [further: string]: unknown;
}

/** What the `data` of each type holds. */
export interface EventDataByType {
  earning_recorded: EarningRecordedData;
  bonus_earned: BonusEarnedData;
  payout_approved: PayoutApprovedData;
  payout_completed: PayoutCompletedData;
  wallet_updated: WalletUpdatedData;
  delivery_accepted: DeliveryAcceptedData;
  delivery_in_transit: DeliveryInTransitData;
  delivery_arrived: DeliveryArrivedData;
  delivery_completed: DeliveryCompletedData;
  order_created: OrderCreatedData;
  order_confirmed: OrderConfirmedData;
  order_ready: OrderReadyData;
  payment_initiated: PaymentInitiatedData;
  payment_completed: PaymentCompletedData;
  payment_failed: PaymentFailedData;
  location_updated: LocationUpdatedData;
  eta_updated: EtaUpdatedData;
}

export type EventType = keyof EventDataByType;

/** An event as it is on the wire. */
export interface WireEventOf<Name extends string, Data> {
  event_type: Name;
  event_level: EventLevel;
  /** Unique; deduplicate by it. */
  event_id: string;
  /** When it happened; ISO 8601, UTC. */
  timestamp: string;
  user_id: string;
  data: Data;
  /** The service that emitted the event. */
  source: string;
  /** Its number in its user's stream; absent from an event that is stored nowhere. */
  seq?: number;
}

/** An event as the client tells it: with the two short names beside the wire's. */
export interface EventOf<Name extends string, Data> extends WireEventOf<Name, Data> {
  /** The same as `event_type`. */
  type: Name;
  /** The same as `event_level`. */
  level: EventLevel;
}

/** Any event of the catalogue; `event_type` tells which. */
export type HarkaraEvent = {
  [Name in EventType]: EventOf<Name, EventDataByType[Name]>;
}[EventType];

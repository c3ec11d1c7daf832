"""The weeks of `event_log`: pure arithmetic between times, event ids and partitions.

An event id is `evt_` and a ULID: ten characters of time (milliseconds since 1970, Crockford's base 32, the
first one 0 to 7), then sixteen of randomness. Ids sort as their times do: a range of ids is a range of time,
and a partition of the log holds the ids of one ISO week (Monday 00:00 UTC to the next).

What does not belong here: minting ids, running SQL, and which weeks to keep (event-service decides that).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32, in the order of its values, which is that of its bytes."""

EVENT_ID = re.compile(r"evt_[0-7][0-9A-HJKMNP-TV-Z]{25}")
"""The form of an event id; to be used with `fullmatch`."""

LAST_MS = 253_401_868_799_999
"""The end of the last whole week of 9999, where Python's calendar ends; a ULID could go on to 10889."""

BEHIND = timedelta(days=8)
"""How old an id may be when it is stored: a caller's own is at most 7 days old; a day more for clocks."""

AHEAD = timedelta(days=15)
"""How far ahead partitions are made: two weeks of a maintenance that fails, and a day."""

_PREFIX = "evt_"
_TIME_CHARS = 10
_RANDOM_CHARS = 16
_WEEK_MS = 7 * 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARTITION = re.compile(r"event_log_([0-9]{4})w([0-9]{2})")
# Our digits as the ones that `int(…, 32)` reads.
_TO_PYTHON = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")


@dataclass(frozen=True, order=True, slots=True)
class Week:
    """One ISO week in UTC and the partition that holds its events.

    Args:
        year: The ISO year (the one that holds the week's Thursday).
        number: The ISO week, 1 to 53.

    Raises:
        ValueError: The year has no such week, or the week lies before 1970 or after `LAST_MS`.
    """

    year: int
    number: int

    def __post_init__(self) -> None:
        if self.year < 1970 or self.end_ms > LAST_MS + 1:
            message = f"week {self.year}-W{self.number:02} is not within 1970 to 9999"
            raise ValueError(message)

    @property
    def start_ms(self) -> int:
        """Monday 00:00 UTC, in milliseconds since 1970; negative only for the week that holds 1970-01-01."""
        monday = date.fromisocalendar(self.year, self.number, 1)
        return (monday.toordinal() - _EPOCH.toordinal()) * 86_400_000

    @property
    def end_ms(self) -> int:
        """The next Monday 00:00 UTC, in milliseconds since 1970: the first one that is not in this week."""
        return self.start_ms + _WEEK_MS

    @property
    def start(self) -> datetime:
        """Monday 00:00 UTC."""
        return _EPOCH + timedelta(milliseconds=self.start_ms)

    @property
    def end(self) -> datetime:
        """The next Monday 00:00 UTC."""
        return _EPOCH + timedelta(milliseconds=self.end_ms)

    @property
    def lower_id(self) -> str:
        """The smallest event id of the week; the partition's lower bound, which belongs to it."""
        return event_id_floor(max(0, self.start_ms))

    @property
    def upper_id(self) -> str:
        """The smallest event id of the next week; the partition's upper bound, which is not in it."""
        return event_id_floor(self.end_ms)

    @property
    def partition(self) -> str:
        """The partition's name: `event_log_2026w05`."""
        return f"event_log_{self.year:04}w{self.number:02}"

    def next(self) -> "Week":
        """The week after this one."""
        return week_of(self.end_ms)


def week_of(when: datetime | int) -> Week:
    """The week that a moment is in.

    Args:
        when: An aware datetime, or milliseconds since 1970 (0 to `LAST_MS`).

    Raises:
        ValueError: The datetime has no time zone, or the moment is outside of that range.
    """
    ms = when if isinstance(when, int) else to_ms(when)
    if not 0 <= ms <= LAST_MS:
        message = f"{ms} ms is not within 1970 to 9999"
        raise ValueError(message)
    year, number, _ = (_EPOCH + timedelta(milliseconds=ms)).isocalendar()
    return Week(year, number)


def weeks_between(first: datetime | int, last: datetime | int) -> Iterator[Week]:
    """The weeks from one moment's to another's, both included, oldest first."""
    week, end = week_of(first), week_of(last)
    while week < end:
        yield week
        week = week.next()
    if week == end:
        yield week


def weeks_needed(now: datetime, behind: timedelta = BEHIND, ahead: timedelta = AHEAD) -> list[Week]:
    """The weeks whose partitions must exist so that events can be stored now and for a while.

    Args:
        now: The present, an aware datetime.
        behind: How old an event id may be.
        ahead: For how long the partitions must do without maintenance.

    Returns:
        The weeks, oldest first.
    """
    # Where a clock is put forward or back in between, adding days to its time would be an hour off.
    moment = now.astimezone(UTC)
    return list(weeks_between(moment - behind, moment + ahead))


def week_of_partition(name: str) -> Week | None:
    """The week of a partition's name; None when it is no name that `Week.partition` gives."""
    match = _PARTITION.fullmatch(name)
    if match is None:
        return None
    try:
        return Week(int(match[1]), int(match[2]))
    except ValueError:
        return None


def create_partition_sql(week: Week) -> tuple[str, ...]:
    """The statements that make a week's partition, for one transaction; only when there is none yet.

    `CREATE TABLE … PARTITION OF` would take the parent's exclusive lock and stop every Emit behind one long
    query. `ATTACH` takes SHARE UPDATE EXCLUSIVE, which writers and readers pass. It also builds the indexes
    that the parent has, here on an empty table.

    Whoever runs them must be a member of `harkara_event_service`, which owns every partition whoever made it,
    so that any replica's login can drop it. No grants: reading through `event_log` asks for rights on
    `event_log` only.
    """
    return (
        f"CREATE TABLE {week.partition} (LIKE event_log INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        f"ALTER TABLE {week.partition} OWNER TO harkara_event_service",
        (
            f"ALTER TABLE event_log ATTACH PARTITION {week.partition} "
            f"FOR VALUES FROM ('{week.lower_id}') TO ('{week.upper_id}')"
        ),
    )


def to_ms(when: datetime) -> int:
    """Whole milliseconds since 1970, exact: a float's rounding could cross a week's bound.

    Raises:
        ValueError: The datetime has no time zone.
    """
    if when.tzinfo is None:
        message = f"{when} has no time zone"
        raise ValueError(message)
    return (when - _EPOCH) // timedelta(milliseconds=1)


def event_id_floor(ms: int) -> str:
    """The smallest event id of a millisecond.

    Args:
        ms: Milliseconds since 1970, 0 to 2^48 - 1.

    Raises:
        ValueError: A ULID cannot hold that time.
    """
    if not 0 <= ms < 1 << 48:
        message = f"{ms} ms does not fit into a ULID"
        raise ValueError(message)
    chars = [ALPHABET[(ms >> 5 * place) & 31] for place in range(_TIME_CHARS - 1, -1, -1)]
    return _PREFIX + "".join(chars) + "0" * _RANDOM_CHARS


def ulid_time_ms(event_id: str) -> int:
    """The time in an event id, in milliseconds since 1970 (0 to 2^48 - 1).

    Raises:
        ValueError: The text is no event id.
    """
    if EVENT_ID.fullmatch(event_id) is None:
        raise ValueError("not an event id: evt_ and an upper-case ULID")
    return int(event_id[len(_PREFIX) : len(_PREFIX) + _TIME_CHARS].translate(_TO_PYTHON), 32)

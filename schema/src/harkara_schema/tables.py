"""What each table holds.

query-service and auth-service select through these classes; event-service speaks raw SQL to the same tables.
The migrations make the tables (they spell them out once more, as they were on that day); a test compares the
two.

Every text that names something is `COLLATE "C"`: it sorts as bytes, as Python and ULIDs do, and an index on
it does not go wrong when the operating system's collations change. Columns of different collations cannot be
compared in Postgres, so the rule has no exception but free text (`data`, `epoch`).

What does not belong here: queries, and anything that a service decides.
"""

from datetime import date, datetime

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    func,
    text,
)
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

# One place decides how a constraint is called, so that a later migration can name what it changes.
metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


def _name() -> Text:
    """The type of a text that names something: see the module's rule."""
    return Text(collation="C")


def _time() -> "DateTime":
    return DateTime(timezone=True)


class _Table(SQLModel, registry=registry(metadata=metadata)):
    """What the tables share: metadata of their own, apart from SQLModel's global one."""


class LogEpoch(_Table, table=True):
    """One life of the log, in one row; clients resume only within the epoch that they saw.

    Attributes:
        id: Always 1.
        epoch: Random text; renewed by `harkara_schema.migrate.new_epoch`.
        created_at: When this epoch began.
    """

    __tablename__ = "log_epoch"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(sa_column=Column("id", SmallInteger, primary_key=True, autoincrement=False))
    epoch: str = Field(sa_column=Column("epoch", Text, nullable=False))
    created_at: datetime = Field(
        sa_column=Column("created_at", _time(), nullable=False, server_default=func.now())
    )


class UserStream(_Table, table=True):
    """Where each user's stream stands; the row's lock orders the writers of that user.

    Attributes:
        user_id: The user.
        last_seq: The highest `seq` stored for the user; the next event gets `last_seq + 1`.
        floor_seq: The highest `seq` that retention has removed; 0 while all are there.
    """

    __tablename__ = "user_stream"

    user_id: str = Field(sa_column=Column("user_id", _name(), primary_key=True))
    last_seq: int = Field(sa_column=Column("last_seq", BigInteger, nullable=False))
    floor_seq: int = Field(
        default=0, sa_column=Column("floor_seq", BigInteger, nullable=False, server_default=text("0"))
    )


class EventLog(_Table, table=True):
    """The log: every stored event, partitioned by the week in its id (`harkara_schema.partitions`).

    Attributes:
        event_id: `evt_` and an upper-case ULID.
        user_id: Whom the event is for.
        seq: The event's number in the user's stream: 1, 2, 3, … without a gap, in commit order.
        event_type: A type of the catalogue.
        event_level: `critical`, `high`, `medium` or `low`.
        timestamp: When it happened, as the caller said; shown, never sorted or counted by.
        source: The service that emitted it.
        data: A JSON object, byte for byte as it came.
        created_at: When event-service accepted it (its clock).
        collapse_key: Of `low` events: a newer one of the same key supersedes it; null for none.
        expires_at: From when on it is not delivered any more; null for never. It stays in history.
    """

    __tablename__ = "event_log"
    __table_args__ = (
        Index("event_log_user_id_seq_idx", "user_id", "seq"),
        Index(
            "event_log_critical_created_at_idx",
            "created_at",
            postgresql_where=text("event_level = 'critical'"),
        ),
        {"postgresql_partition_by": "RANGE (event_id)"},
    )

    event_id: str = Field(sa_column=Column("event_id", _name(), primary_key=True))
    user_id: str = Field(sa_column=Column("user_id", _name(), nullable=False))
    seq: int = Field(sa_column=Column("seq", BigInteger, nullable=False))
    event_type: str = Field(sa_column=Column("event_type", _name(), nullable=False))
    event_level: str = Field(sa_column=Column("event_level", _name(), nullable=False))
    timestamp: datetime = Field(sa_column=Column("timestamp", _time(), nullable=False))
    source: str = Field(sa_column=Column("source", _name(), nullable=False))
    data: str = Field(sa_column=Column("data", Text, nullable=False))
    created_at: datetime = Field(sa_column=Column("created_at", _time(), nullable=False))
    collapse_key: str | None = Field(default=None, sa_column=Column("collapse_key", _name(), nullable=True))
    expires_at: datetime | None = Field(default=None, sa_column=Column("expires_at", _time(), nullable=True))


class EventCount(_Table, table=True):
    """How many events were stored on a day: what analytics read, summed over writers.

    Attributes:
        day: The UTC day of the events' `created_at`.
        writer: The writer slot that counted, 0 to 63: writers do not wait for each other's rows.
        event_type: As in the log.
        source: As in the log.
        event_level: As in the log.
        events: How many.
    """

    __tablename__ = "event_count"
    __table_args__ = (PrimaryKeyConstraint("day", "writer", "event_type", "source", "event_level"),)

    day: date = Field(sa_column=Column("day", Date))
    writer: int = Field(sa_column=Column("writer", SmallInteger, autoincrement=False))
    event_type: str = Field(sa_column=Column("event_type", _name()))
    source: str = Field(sa_column=Column("source", _name()))
    event_level: str = Field(sa_column=Column("event_level", _name()))
    events: int = Field(sa_column=Column("events", BigInteger, nullable=False))


class CommitBatch(_Table, table=True):
    """What one commit stored: how a replica learns of batches whose backplane hint it missed.

    Attributes:
        writer: The writer slot.
        batch_no: 1, 2, 3, … without a gap for each writer.
        users: The users whose streams moved.
        last_seqs: Each one's `last_seq` after this commit, in the order of `users`.
        committed_at: When it was stored.
    """

    __tablename__ = "commit_batch"
    __table_args__ = (PrimaryKeyConstraint("writer", "batch_no"),)

    writer: int = Field(sa_column=Column("writer", SmallInteger, autoincrement=False))
    batch_no: int = Field(sa_column=Column("batch_no", BigInteger, autoincrement=False))
    users: list[str] = Field(sa_column=Column("users", ARRAY(_name(), dimensions=1), nullable=False))
    last_seqs: list[int] = Field(
        sa_column=Column("last_seqs", ARRAY(BigInteger, dimensions=1), nullable=False)
    )
    committed_at: datetime = Field(
        sa_column=Column("committed_at", _time(), nullable=False, server_default=func.now())
    )


class DeviceCursor(_Table, table=True):
    """Up to where a device has acknowledged its user's stream.

    Attributes:
        user_id: The user.
        device_id: The device's own name for itself, 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`.
        epoch: The life of the log that `acked_seq` belongs to.
        acked_seq: The highest seq acknowledged; never lowered within an epoch.
        updated_at: When the device was last heard of; the least recent of a user's devices goes first.
    """

    __tablename__ = "device_cursor"
    __table_args__ = (PrimaryKeyConstraint("user_id", "device_id"),)

    user_id: str = Field(sa_column=Column("user_id", _name()))
    device_id: str = Field(sa_column=Column("device_id", _name()))
    epoch: str = Field(sa_column=Column("epoch", Text, nullable=False))
    acked_seq: int = Field(sa_column=Column("acked_seq", BigInteger, nullable=False))
    updated_at: datetime = Field(sa_column=Column("updated_at", _time(), nullable=False))


class AppUser(_Table, table=True):
    """A person who may connect; a removed user has no row.

    Attributes:
        user_id: The user.
        role: What the user is: `customer`, `delivery_boy`, `shop`, `support`, `admin`.
        status: `active` or `disabled`.
        created_at: When the user was added.
        updated_at: When role or status last changed.
    """

    __tablename__ = "app_user"
    __table_args__ = (CheckConstraint("status IN ('active', 'disabled')", name="status"),)

    user_id: str = Field(sa_column=Column("user_id", _name(), primary_key=True))
    role: str = Field(sa_column=Column("role", _name(), nullable=False))
    status: str = Field(sa_column=Column("status", _name(), nullable=False))
    created_at: datetime = Field(
        sa_column=Column("created_at", _time(), nullable=False, server_default=func.now())
    )
    updated_at: datetime = Field(
        sa_column=Column("updated_at", _time(), nullable=False, server_default=func.now())
    )


class UserChange(_Table, table=True):
    """Each change of a user, in order: what `WatchRevocations` replays.

    Attributes:
        version: 1, 2, 3, … without a gap, numbered under the lock of `UserChangeHead`'s row.
        user_id: The user that changed.
        reason: `added`, `enabled`, `disabled`, `removed` or `role_changed`.
        changed_at: When.
    """

    __tablename__ = "user_change"
    __table_args__ = (
        CheckConstraint(
            "reason IN ('disabled', 'removed', 'role_changed', 'enabled', 'added')", name="reason"
        ),
    )

    version: int = Field(sa_column=Column("version", BigInteger, primary_key=True, autoincrement=False))
    user_id: str = Field(sa_column=Column("user_id", _name(), nullable=False))
    reason: str = Field(sa_column=Column("reason", _name(), nullable=False))
    changed_at: datetime = Field(
        sa_column=Column("changed_at", _time(), nullable=False, server_default=func.now())
    )


class UserChangeHead(_Table, table=True):
    """The last `version` given out, in one row, whose lock makes the versions gap-free.

    Attributes:
        id: Always 1.
        last_version: 0 before the first change.
    """

    __tablename__ = "user_change_head"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(sa_column=Column("id", SmallInteger, primary_key=True, autoincrement=False))
    last_version: int = Field(sa_column=Column("last_version", BigInteger, nullable=False))

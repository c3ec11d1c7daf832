"""Devices' places in Postgres: what `ports.DeviceCursors` promises, on connections of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from psycopg import AsyncRawCursor

from harkara_event_service.adapters import wire_arrays
from harkara_event_service.adapters.connections import WRITER_SETTINGS, Connection, ReadConnections
from harkara_event_service.domain.acknowledgements import MAX_DEVICES, Acknowledged
from harkara_event_service.domain.cursor import Device, ResumePoint

CONNECTIONS = 2

_READ = """
SELECT user_id, device_id, epoch, acked_seq
FROM unnest($1::text[], $2::text[]) AS wanted (user_id, device_id)
     JOIN device_cursor USING (user_id, device_id)
"""

# One statement, so that no lock waits for us; its rows are locked in their order, and what is deleted is
# skipped where another replica holds it. What a WITH wrote its other parts do not see: the devices that
# were there before are counted beside those that are written now. One that was heard of while this went
# on has another time, and stays.
_WRITE = """
WITH written AS (
    INSERT INTO device_cursor AS cursor (user_id, device_id, epoch, acked_seq, updated_at)
    SELECT user_id, device_id, $5, seq, moment
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[])
         AS acked (user_id, device_id, seq, moment)
    WHERE $5 = (SELECT epoch FROM log_epoch)
    ON CONFLICT (user_id, device_id) DO UPDATE SET
        epoch = excluded.epoch,
        acked_seq = CASE WHEN cursor.epoch <> excluded.epoch THEN excluded.acked_seq
                         ELSE greatest(cursor.acked_seq, excluded.acked_seq) END,
        updated_at = greatest(cursor.updated_at, excluded.updated_at)
    RETURNING user_id, device_id
), counts AS (
    SELECT user_id, count(*) AS devices FROM written GROUP BY user_id
), ranked AS (
    SELECT there.user_id, there.device_id, there.updated_at,
           counts.devices + row_number() OVER (PARTITION BY there.user_id
                                               ORDER BY there.updated_at DESC, there.device_id) AS place
    FROM counts JOIN device_cursor AS there USING (user_id)
    WHERE NOT EXISTS (SELECT FROM written
                      WHERE written.user_id = there.user_id AND written.device_id = there.device_id)
), surplus AS (
    SELECT cursor.user_id, cursor.device_id
    FROM ranked JOIN device_cursor AS cursor USING (user_id, device_id, updated_at)
    WHERE ranked.place > $6
    FOR UPDATE OF cursor SKIP LOCKED
)
DELETE FROM device_cursor AS cursor USING surplus
WHERE cursor.user_id = surplus.user_id AND cursor.device_id = surplus.device_id
"""


class PostgresDevices:
    """`DeviceCursors` in Postgres; connects when it is needed first.

    Args:
        dsn: a libpq URL of a login that is a member of `harkara_event_service`.
    """

    def __init__(self, dsn: str) -> None:
        self._connections = ReadConnections(
            dsn, CONNECTIONS, name="harkara-devices", settings=WRITER_SETTINGS
        )

    async def read(self, devices: Collection[Device]) -> Mapping[Device, ResumePoint]:
        """See `DeviceCursors.read`."""
        parameters = (
            wire_arrays.text_array([device.user_id for device in devices]),
            wire_arrays.text_array([device.device_id for device in devices]),
        )

        async def read(connection: Connection) -> dict[Device, ResumePoint]:
            cursor = AsyncRawCursor(connection)
            await cursor.execute(_READ, parameters, prepare=True)
            return {
                Device(user_id, device_id): ResumePoint(epoch, acked_seq)
                for user_id, device_id, epoch, acked_seq in await cursor.fetchall()
            }

        return await self._connections.run(read)

    async def write(self, epoch: str, acknowledged: Sequence[Acknowledged]) -> None:
        """See `DeviceCursors.write`."""
        parameters = (
            wire_arrays.text_array([each.device.user_id for each in acknowledged]),
            wire_arrays.text_array([each.device.device_id for each in acknowledged]),
            wire_arrays.int8_array([each.seq for each in acknowledged]),
            wire_arrays.timestamp_array([each.at for each in acknowledged]),
            epoch,
            MAX_DEVICES,
        )

        async def write(connection: Connection) -> None:
            await AsyncRawCursor(connection).execute(_WRITE, parameters, prepare=True)

        await self._connections.run(write)

    async def close(self) -> None:
        """Finish what is under way, and let go of the connections."""
        await self._connections.close()

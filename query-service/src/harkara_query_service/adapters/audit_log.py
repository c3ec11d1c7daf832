"""The audit log: records of the process's own log with `logger = "audit"`, whatever log level is set."""

import logging
from datetime import datetime

import structlog

from harkara_query_service.domain.access import Reader
from harkara_query_service.domain.windows import utc_text


class StructlogAudit:
    """`AuditLog` on structlog."""

    def __init__(self) -> None:
        # A wrapper of its own: LOG_LEVEL=error must not silence the audit.
        self._log = structlog.wrap_logger(
            None, wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET)
        )

    def read_of_another(self, reader: Reader, owner: str, path: str, when: datetime) -> None:
        """See `AuditLog.read_of_another`."""
        self._log.info(
            "events_of_another_read",
            reader=reader.user_id,
            role=reader.role,
            owner=owner,
            route=path,
            logger="audit",
            read_at=utc_text(when),
        )

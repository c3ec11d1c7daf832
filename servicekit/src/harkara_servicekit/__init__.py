"""Process plumbing that two services or more use."""

import sys


def _import_structlog_alone() -> None:
    """Keep structlog from importing rich, which takes longer than itself.

    It looks for rich to draw tracebacks with local variables; we never ask it to (see `logs`), and rich is
    only there because the launcher draws tables.
    """
    if {"structlog", "rich"} & sys.modules.keys():
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # That is how an import is made to fail.
    try:
        import structlog  # noqa: F401, PLC0415 - here, while rich is hidden.
    finally:
        del sys.modules["rich"]


_import_structlog_alone()

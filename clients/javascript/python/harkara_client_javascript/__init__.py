"""Where the JavaScript client's modules are, for a service that serves them to browsers without npm.

What does not belong here: the modules themselves (`clients/javascript/src`), and serving them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent
_PACKAGED: Final = _PACKAGE / "modules"

# In a wheel they are package data; in a checkout they stand where they are written.
MODULES: Final[Path] = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parents[1] / "src"
"""The folder with `index.js`, and all that it imports."""

__all__ = ["MODULES"]

# ruff: noqa: INP001 - this folder is no package; this file is run, and imported by its test.
"""Writes what the JavaScript client has from the catalogue: the only writer of the files in `made`.

`python clients/javascript/generate.py` writes; `--check` writes nothing, and exits 1 naming each file that
would change.

What does not belong here: the other files of `types/`, which `npm run types` makes from the modules.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from harkara_catalogue import Catalogue, catalogue_typescript, close_codes_javascript

FOLDER: Final = Path(__file__).resolve().parent


def made() -> dict[Path, str]:
    """Return each file, and its text as the catalogue is now."""
    return {
        FOLDER / "src" / "close_codes.js": close_codes_javascript(),
        FOLDER / "types" / "events.d.ts": catalogue_typescript(Catalogue.reference()),
    }


def main() -> int:
    """Generate, or with --check compare; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a file is stale")
    check: bool = parser.parse_args().check
    stale = [
        path for path, text in made().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if check:
            sys.stdout.write(
                f"stale: {path.relative_to(FOLDER)} (run python clients/javascript/generate.py)\n"
            )
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(made()[path], encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

"""Finds the Chromium of this machine, for the tests in a real browser.

Nothing here starts or downloads one: a browser comes from the machine's own packages, as its updates do.
"""

import os
import shutil
from pathlib import Path

from harkara_cli.errors import CliError

VARIABLE = "HARKARA_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> Path:
    """The program that `HARKARA_CHROMIUM` names, else the first known one on `PATH`.

    Returns:
        Its absolute path.

    Raises:
        CliError: There is none; with what to do about it.
    """
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            message = f"{VARIABLE} names {named}, which is no program that can be run"
            raise CliError(message)
        return Path(found).absolute()
    for name in _NAMES:
        found = shutil.which(name)
        if found is not None:
            return Path(found).absolute()
    message = (
        f"no Chromium found ({', '.join(_NAMES)} on PATH): install one (Debian: the package chromium),"
        f" or name it in {VARIABLE}"
    )
    raise CliError(message)

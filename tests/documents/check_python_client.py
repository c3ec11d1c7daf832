"""The `pip install` lines of the Python client's README, run as they stand in a fresh environment.

Needs a package registry, so `.ci/run` runs it and not pytest. Versions are those of constraints.txt.
"""

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "clients" / "python" / "README.md"

EMITS_AND_LISTENS = "import harkara_client.events; from harkara_client import Emitter, Listener, SyncEmitter"
HAS_THE_OUTBOX = "from harkara_client import outbox; assert 'harkara_emit' in outbox.schema_sql()"


def main() -> int:
    """Run each line, the shorter ones first.

    Returns:
        The exit status: 1 where the README has no such line, or one does not do what it is for.
    """
    lines = re.findall(r"^(pip install .*?)(?:\s+#.*)?$", README.read_text(encoding="utf-8"), re.MULTILINE)
    if not lines:
        sys.stderr.write(f"{README}: no line with pip install\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        scripts = Path(folder) / "bin"
        environment = {
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_QUIET": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
        }
        for line in sorted(lines, key=len):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            program = HAS_THE_OUTBOX if "[outbox]" in line else EMITS_AND_LISTENS
            try:
                # A shell reads it, as a reader's would: its quotes are part of what is tried.
                subprocess.run(line, shell=True, cwd=ROOT, env=environment, check=True)  # noqa: S602
                python = [str(scripts / "python"), "-I", "-W", "error", "-c", program]
                subprocess.run(python, cwd=folder, check=True)  # noqa: S603 - what was just installed.
            except subprocess.CalledProcessError as error:
                sys.stderr.write(f"failed: {error}\n")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

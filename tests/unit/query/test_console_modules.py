"""The console's modules: the pure ones pass their tests under Node, and none puts data into markup."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

from tests.support.node import without_node

PAGES = Path(str(files("harkara_query_service"))) / "console"
PURE = ("device.js", "format.js", "samples.js", "session.js")
TESTS = Path(__file__).with_name("console.test.js")

# What turns text into markup or code, in a page or in an element.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\('style'"
    r"|srcdoc|createContextualFragment|DOMParser|javascript:"
)


def test_the_pure_modules_pass_their_tests(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        without_node()
    for module in PURE:
        shutil.copy(PAGES / module, tmp_path)
    shutil.copy(TESTS, tmp_path)
    # Node takes a file for a module only where a package says so.
    (tmp_path / "package.json").write_text('{"type": "module"}')
    done = subprocess.run(  # noqa: S603 - which() found it.
        [node, "--test", tmp_path], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_turns_text_into_markup_or_code() -> None:
    modules = list(PAGES.glob("*.js"))
    assert modules
    found = [
        (module.name, line)
        for module in modules
        for line in module.read_text(encoding="utf-8").splitlines()
        if FORBIDDEN.search(line)
    ]
    assert found == []

"""Writes protos/python/ from the .proto files: the only writer of that folder.

`python protos/generate.py` writes; `--check` writes nothing, and exits 1 naming each file that
would change. buf compiles, grpc_tools turns the compiled image into Python and mypy-protobuf into
stubs, so one parser decides what the files mean.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

PROTOS = Path(__file__).resolve().parent
TARGET = PROTOS / "python"


def compile_image(image: Path) -> list[str]:
    """Build the descriptor image and return the project's own .proto names, sorted."""
    subprocess.run(
        [str(Path(sys.executable).with_name("buf")), "build", "--as-file-descriptor-set", "-o", str(image)],
        cwd=PROTOS.parent,
        check=True,
    )
    described = FileDescriptorSet.FromString(image.read_bytes())
    return sorted(f.name for f in described.file if f.name.startswith("harkara/"))


def generate(target: Path) -> None:
    """Write the generated tree below the empty folder `target`."""
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "image.binpb"
        names = compile_image(image)
        outputs = [f"--{kind}_out={target}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
        binaries = Path(sys.executable).parent
        plugins = [
            f"--plugin=protoc-gen-{name}={binaries / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")
        ]
        subprocess.run(
            [
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                f"--descriptor_set_in={image}",
                *plugins,
                *outputs,
                *names,
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    for package in {Path(name).parent for name in names}:
        (target / package / "__init__.py").write_text("")
        (target / package / "py.typed").write_text("")


def generated_files(folder: Path) -> set[Path]:
    """Every generated file below `folder`, relative to it."""
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def main() -> int:
    """Generate, or with --check compare; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a file is stale")
    check: bool = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        wanted, present = generated_files(fresh), generated_files(TARGET)
        stale = sorted(
            path
            for path in wanted | present
            if path not in wanted
            or path not in present
            or not filecmp.cmp(fresh / path, TARGET / path, shallow=False)
        )
        if check:
            for path in stale:
                print(f"stale: {(TARGET / path).relative_to(PROTOS.parent)} (run python protos/generate.py)")
            return 1 if stale else 0
        for path in stale:
            (TARGET / path).unlink(missing_ok=True)
            if path in wanted:
                (TARGET / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(fresh / path, TARGET / path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The code under federation/wire/v1 is what protos/ generates, byte for byte: no hand edits it, none forgets it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")


def generated(protos: Path, into: Path) -> dict[str, bytes]:
    """Generate code from every proto below `protos` and return it as {path below `into`: bytes}."""
    sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    into.mkdir()
    if sources:
        outputs = [f"--{kind}_out={into}" for kind in ("python", "pyi", "grpc_python")]
        subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", "-I", str(protos), *outputs, *sources],
            check=True,
        )
    return {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}


def committed(repository: Path) -> dict[str, bytes]:
    """Return the generated code of the checkout as {path below the root: bytes}."""
    return {
        str(path.relative_to(repository)): path.read_bytes()
        for path in (repository / "federation" / "wire" / "v1").rglob("*")
        if path.name.endswith(GENERATED)
    }


def test_the_committed_stubs_are_what_the_protos_generate(repository: Path, tmp_path: Path) -> None:
    expected, got = generated(repository / "protos", tmp_path / "stubs"), committed(repository)
    assert sorted(expected) == sorted(got), "a proto without stubs or stubs without a proto: run `make protos`"
    differing = [path for path in expected if expected[path] != got[path]]
    assert not differing, f"run `make protos`: {differing}"


def test_a_field_that_was_added_without_generating_is_seen(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "protos", tmp_path / "protos")
    planted = tmp_path / "protos" / "federation" / "wire" / "v1" / "planted.proto"
    planted.parent.mkdir(parents=True, exist_ok=True)
    source = 'syntax = "proto3";\npackage federation.wire.v1;\nmessage Planted { string name = 1; }\n'
    planted.write_text(source, "utf-8")
    before = generated(tmp_path / "protos", tmp_path / "before")
    assert sorted(before) != sorted(committed(repository))
    planted.write_text(source.replace("name = 1", "name = 2"), "utf-8")
    after = generated(tmp_path / "protos", tmp_path / "after")
    assert [path for path in before if before[path] != after[path]] == ["federation/wire/v1/planted_pb2.py"]

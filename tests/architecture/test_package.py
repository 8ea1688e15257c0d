"""What is imported is declared: the core at the top of a module, an extra inside a function, nothing else at all."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Where the name of a distribution is not the name that is imported.
IMPORTED_AS = {
    "grpcio": ("grpc",),
    "grpcio-health-checking": ("grpc_health",),
    "protobuf": ("google",),
    "pynacl": ("nacl",),
    "sse-starlette": ("sse_starlette",),
}
# Files that are asked for by name only by those who installed the extra.
FILES_OF_EXTRAS = {
    "clients/portal/": "web",
    "clients/jurisdiction/engines/postgres.py": "postgres",
    "clients/jurisdiction/engines/spark.py": "spark",
    "clients/jurisdiction/trainer.py": "train",
}
OURS = {"federation", "clients", "federation_examples"}


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    """Return the table `project` of pyproject.toml."""
    return tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]  # type: ignore[no-any-return]


def names(requirements: list[str]) -> set[str]:
    """Return what the distributions of `requirements` are imported as."""
    found = {re.split(r"[<>=!~ \[;]", requirement)[0] for requirement in requirements}
    return {name for each in found for name in IMPORTED_AS.get(each, (each.replace("-", "_"),))}


def imports(source: str) -> Iterator[tuple[str, bool, int]]:
    """Yield (top-level name, whether it runs when the module is imported, line); TYPE_CHECKING blocks are left out."""

    def walk(nodes: list[ast.stmt] | list[ast.AST], at_once: bool) -> Iterator[tuple[str, bool, int]]:
        for node in nodes:
            match node:
                case ast.Import(names=aliases):
                    yield from ((alias.name.split(".")[0], at_once, node.lineno) for alias in aliases)
                case ast.ImportFrom(module=str(module), level=0):
                    yield module.split(".")[0], at_once, node.lineno
                case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
                    yield from walk(otherwise, at_once)
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                    yield from walk(list(ast.iter_child_nodes(node)), at_once=False)
                case _:
                    yield from walk(list(ast.iter_child_nodes(node)), at_once)

    return walk(ast.parse(source).body, at_once=True)


def undeclared(path: str, source: str, project: dict[str, Any]) -> Iterator[str]:
    """Yield "path:line: name" for every import that an installation of the core, or of the file's extra, would miss."""
    extras = project["optional-dependencies"]
    core = names(project["dependencies"]) | OURS | set(sys.stdlib_module_names)
    at_once_too = {
        name for start, extra in FILES_OF_EXTRAS.items() if path.startswith(start) for name in names(extras[extra])
    }
    for_users = {name for extra, wanted in extras.items() if extra != "dev" for name in names(wanted)}
    accepted_frames = {"pandas", "polars", "pyarrow"}  # a researcher who hands one over has it
    for name, at_once, line in imports(source):
        permitted = core | at_once_too if at_once else core | for_users | accepted_frames
        if name not in permitted:
            yield f"{path}:{line}: {name}"


def test_what_is_imported_is_declared(repository: Path, project: dict[str, Any]) -> None:
    found = [
        missing
        for wing in ("federation", "clients")
        for path in sorted((repository / wing).rglob("*.py"))
        for missing in undeclared(str(path.relative_to(repository)), path.read_text("utf-8"), project)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source", "missing"),
    [
        ("federation/query/x.py", "import scipy", True),
        ("federation/query/x.py", "def f():\n    import scipy.stats", False),
        ("federation/query/x.py", "try:\n    import pandas\nexcept ImportError:\n    pass", True),
        ("federation/query/x.py", "if TYPE_CHECKING:\n    import pandas", False),
        ("federation/query/x.py", "class C:\n    import pandas", True),
        ("federation/query/x.py", "def f():\n    import requests", True),
        ("federation/query/x.py", "def f():\n    import pytest", True),
        ("federation/query/x.py", "import grpc, google.protobuf, duckdb, federation.errors, os", False),
        ("clients/portal/app.py", "import starlette", False),
        ("clients/researcher/app.py", "import starlette", True),
        ("clients/jurisdiction/trainer.py", "import torch", False),
    ],
)
def test_an_undeclared_import_is_seen(project: dict[str, Any], path: str, source: str, missing: bool) -> None:
    assert bool(list(undeclared(path, source, project))) == missing


def test_the_command_is_there(project: dict[str, Any]) -> None:
    for target in project["scripts"].values():
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_nothing_is_capped_but_protobuf(project: dict[str, Any]) -> None:
    capped = [requirement for requirement in project["dependencies"] if re.search(r"<|==|~=", requirement)]
    assert capped == ["protobuf>=6.31.1,<8"]


def test_torch_and_what_is_heavy_or_copyleft_stay_out_of_the_core(project: dict[str, Any]) -> None:
    assert not names(project["dependencies"]) & {
        "torch",
        "pyarrow",
        "pandas",
        "scipy",
        "phe",
        "sqlalchemy",
        "matplotlib",
    }
    assert not names(project["optional-dependencies"]["dev"]) & {"torch"}

"""The pure rooms import only what is permitted, and touch no socket, file, clock, environment or randomness.

A ban list leaks (`http.client`, `importlib.import_module("socket")` passed one), so this is a permitted list. It guards
against drift, not against malice. Every fault that it must see is planted below.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PURE = (
    "analytics",
    "crypto",
    "domain",
    "jobs",
    "ledger",
    "policy",
    "privacy",
    "protocols",
    "query",
    "training",
    "errors.py",
    "registry.py",
    "version.py",
)

# Names a module or a package with everything in it. `federation` itself is judged by the floors.
PERMITTED = frozenset({
    "__future__",
    "abc",
    "bisect",
    "collections",
    "dataclasses",
    "decimal",
    "difflib",
    "enum",
    "federation",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "itertools",
    "json",
    "math",
    "numbers",
    "numpy",
    "operator",
    "re",
    "string",
    "struct",
    "types",
    "typing",
    "unicodedata",
})  # fmt: skip
ALSO = {
    "crypto": frozenset({"cryptography", "gmpy2"}),
    "crypto/chunk_hash.py": frozenset({"blake3"}),
    "crypto/signing.py": frozenset({"nacl"}),
    "registry.py": frozenset({"importlib", "pkgutil"}),  # finds files of this package; never a name as given
    "analytics": frozenset({"scipy"}),  # p-values of a finished result, imported where they are printed
    "training/descent.py": frozenset({"contextlib"}),  # torch's generator is given back as it was found
    "crypto/lanes.py": frozenset({"ctypes"}),  # what `make kernel` compiled
    "crypto/paillier/kernel.py": frozenset({"cryptography", "ctypes", "gmpy2"}),  # what `make kernel` compiled
    "crypto/paillier/interop.py": frozenset({"cryptography", "gmpy2", "phe"}),  # the extra, inside a call
}

# Torch is imported where rows are: in a strategy inside `local_step` alone, in these files inside any function, since
# all of theirs but `layout` and `figures` run there (tests/training asks for those two where torch cannot be imported).
TORCH_INSIDE = {
    "training": "local_step",
    "training/models": None,
    "training/descent.py": None,
    "training/evaluation.py": None,
}

# Builtins that reach outside, run text as code, or differ between two processes (`hash` of a text is salted; a class
# may still say in `__hash__` what its own is).
CALLS = frozenset({"__import__", "breakpoint", "compile", "eval", "exec", "hash", "input", "open", "print"})
# Methods that draw entropy, read a clock or touch a file, whatever they are methods of; `event.now` as a field is a
# value.
METHODS = frozenset({
    "fromfile", "generate", "generate_key", "generate_parameters", "generate_private_key", "genfromtxt", "load",
    "loadtxt", "memmap", "mpz_random", "mpz_rrandomb", "mpz_urandomb", "now", "open_memmap", "random_state",
    "read_bytes", "read_text", "savetxt", "savez", "tofile", "today", "urandom", "utcnow", "write_bytes", "write_text",
})  # fmt: skip


def impurities(source: str, room: str) -> Iterator[str]:
    """Yield "line: what" for everything in `source` that a pure room may not have."""
    permitted = PERMITTED | ALSO.get(room, frozenset())
    tree = ast.parse(source)
    with_torch = inside(tree, TORCH_INSIDE[room]) if room in TORCH_INSIDE else set()
    own_hash = inside(tree, "__hash__")
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case ast.ImportFrom(module=module, names=names, level=0):
                imported = [f"{module}.{alias.name}" for alias in names]
            case ast.ImportFrom():
                imported = ["."]
            case ast.Name(id="hash") if node in own_hash:
                continue
            case ast.Name(id=name) if name in CALLS:
                yield f"{node.lineno}: {name}"
                continue
            case ast.Call(func=ast.Attribute(attr=name)) | ast.Attribute(attr="random" as name) if (
                name in METHODS or name == "random"
            ):
                yield f"{node.lineno}: .{name}"
                continue
            case _:
                continue
        for name in imported:
            if name.split(".")[0] == "torch" and node in with_torch:
                continue
            if name.split(".")[0] not in permitted or name.startswith("numpy.random"):
                yield f"{node.lineno}: import {name}"


def inside(tree: ast.Module, function: str | None) -> set[ast.AST]:
    """Return every node inside the functions called `function`, or inside any function."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    outer = (node for node in functions if function in {None, node.name})
    return {inner for node in outer for inner in ast.walk(node)}


def modules(repository: Path) -> Iterator[tuple[str, Path]]:
    """Yield (room, file) for every module of the pure rooms."""
    for room in PURE:
        found = repository / "federation" / room
        for path in [found] if found.is_file() else sorted(found.rglob("*.py")):
            name = path.relative_to(repository / "federation").as_posix()
            folder = name.rsplit("/", 1)[0]
            yield next((known for known in (name, folder) if known in ALSO or known in TORCH_INSIDE), room), path


def test_the_pure_rooms_import_and_call_only_what_is_permitted(repository: Path) -> None:
    found = [
        f"{path.relative_to(repository)}:{impurity}"
        for room, path in modules(repository)
        for impurity in impurities(path.read_text("utf-8"), room)
    ]
    assert not found, "\n".join(found)


def test_the_list_of_pure_rooms_is_the_one_of_the_floors(repository: Path) -> None:
    rooms = {path.name for path in (repository / "federation").iterdir() if not path.name.startswith("__")}
    outside = {"wire", "identity", "coordinator", "py.typed"}
    assert rooms - outside <= set(PURE), "a room without a decision about purity"


@pytest.mark.parametrize(
    ("room", "planted"),
    [
        ("query", "import os"),
        ("query", "import time"),
        ("query", "import socket"),
        ("query", "import http.client"),
        ("query", "import subprocess"),
        ("query", "import logging"),
        ("query", "import random"),
        ("query", "import secrets"),
        ("query", "import importlib"),
        ("query", "import datetime"),
        ("query", "import numpy.random"),
        ("query", "from numpy import random"),
        ("query", "from numpy.random import default_rng"),
        ("query", "import numpy as np\nnp.random.default_rng(1)"),
        ("query", "import numpy as np\nnp.load('x')"),
        ("query", "from . import bounds"),
        ("query", "import cryptography"),
        ("query", "import gmpy2"),
        ("query", "import scipy.stats"),
        ("query", "import torch"),
        ("query", "def f() -> None:\n    import sqlite3"),
        ("query", "open('x')"),
        ("query", "print('x')"),
        ("query", "__import__('os')"),
        ("query", "eval('1')"),
        ("query", "exec('1')"),
        ("query", "draw = eval"),
        ("query", "hash('a text')"),
        ("query", "def f(clock):\n    return clock.now()"),
        ("query", "def f(datetime):\n    return datetime.datetime.now()"),
        ("query", "def f(path):\n    return path.read_text()"),
        ("crypto", "import os"),
        ("crypto", "from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey as K\nK.generate()"),
        ("crypto", "import gmpy2\ngmpy2.random_state(1)"),
        ("crypto", "def f() -> None:\n    import phe"),
        ("crypto/paillier/interop.py", "import os"),
        ("training", "import torch"),
        ("training", "def merge() -> None:\n    import torch"),
        ("training/models", "import torch"),
        ("training/models", "class Net:\n    import torch"),
        ("training/models", "def module() -> None:\n    import os"),
        ("training/descent.py", "import torch"),
        ("training/evaluation.py", "from torch import nn"),
        ("jobs", "import asyncio"),
        ("registry.py", "import os"),
    ],
)
def test_a_planted_impurity_is_reported(room: str, planted: str) -> None:
    assert list(impurities(f'"""A room."""\n{planted}\n', room))


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("crypto", "from cryptography.hazmat.primitives import hashes"),
        ("crypto", "import gmpy2"),
        ("registry.py", "import importlib\nimport pkgutil"),
        ("query", "import numpy as np\nfrom collections.abc import Mapping\nfrom federation.errors import Misuse"),
        ("training", "def local_step() -> None:\n    import torch"),
        ("training/models", "class Net:\n    def module(self) -> None:\n        from torch import nn"),
        ("training/descent.py", "def descended() -> None:\n    import torch"),
        ("query", "class C:\n    def __hash__(self) -> int:\n        return hash(b'canonical')"),
        ("jobs", "def expired(event, deadline):\n    return event.now >= deadline"),
    ],
)
def test_what_is_permitted_is_not_reported(room: str, source: str) -> None:
    assert not list(impurities(source, room))

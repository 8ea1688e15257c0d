"""Words that have no place here: what runs foreign bytes, opens a plain door, draws where it may not, names a machine.

The code is read as a syntax tree, so that a comment may say why there is no pickle.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PURE_LESS = ("coordinator", "identity", "wire")  # the rooms of federation/ that are not pure
EVERYWHERE = frozenset({
    "cPickle", "cloudpickle", "dill", "jsonpickle", "joblib", "marshal", "pickle", "shelve", "yaml",
    "formulaic", "patsy", "ibis", "telnetlib", "xml.etree",
})  # fmt: skip
DRAWS = frozenset({"numpy.random", "os.urandom", "random", "secrets", "uuid"})
CALLS = frozenset({"__import__", "compile", "eval", "exec"})
ATTRIBUTES = frozenset({
    "add_insecure_port", "allow_pickle", "insecure_channel", "insecure_channel_credentials",
    "insecure_server_credentials", "local_channel_credentials", "local_server_credentials", "mktemp", "read_pickle",
    "to_pickle", "unsafe_load",
})  # fmt: skip


def forbidden(source: str, *, pure: bool) -> Iterator[str]:
    """Yield "line: word" for every forbidden import, call, attribute and keyword of `source`."""
    words = EVERYWHERE | DRAWS if pure else EVERYWHERE
    for node in ast.walk(ast.parse(source)):
        found: list[str] = []
        match node:
            case ast.Import(names=names):
                found = [alias.name for alias in names if is_below(alias.name, words)]
            case ast.ImportFrom(module=str(module), names=names):
                found = [name for alias in names if is_below(name := f"{module}.{alias.name}", words)]
            case ast.Name(id=name) if name in CALLS:
                found = [name]
            case ast.keyword(arg=str(name)) if name in ATTRIBUTES:
                found = [name]
            case ast.Attribute(attr=name) if name in ATTRIBUTES:
                found = [name]
            case ast.Attribute(value=ast.Name(id="torch" | "yaml" as module), attr="load"):
                found = [f"{module}.load"]
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random") if pure:
                found = ["numpy.random"]
            case ast.Attribute(value=ast.Name(id="os"), attr="urandom") if pure:
                found = ["os.urandom"]
        for name in found:
            yield f"{getattr(node, 'lineno', 0)}: {name}"


def is_below(name: str, words: frozenset[str]) -> bool:
    """Return whether `name` is one of the dotted `words` or inside one of them."""
    parts = name.split(".")
    return any(".".join(parts[: end + 1]) in words for end in range(len(parts)))


def test_nothing_in_the_product_runs_foreign_bytes_or_opens_a_plain_door(repository: Path) -> None:
    found = []
    for path in sorted([*(repository / "federation").rglob("*.py"), *(repository / "clients").rglob("*.py")]):
        name = path.relative_to(repository)
        if name.parts[:3] != ("federation", "wire", "v1"):
            pure = name.parts[0] == "federation" and name.parts[1] not in PURE_LESS
            found += [f"{name}:{word}" for word in forbidden(path.read_text("utf-8"), pure=pure)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml",
        "eval('1')",
        "exec('1')",
        "run = eval",
        "import grpc\ngrpc.insecure_channel('x')",
        "from grpc import insecure_channel as connect, StatusCode\nserver.add_insecure_port('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import torch\ntorch.load('x')",
        "import pandas\npandas.read_pickle('x')",
    ],
)
@pytest.mark.parametrize("pure", [True, False])
def test_a_forbidden_word_is_seen_in_every_room(planted: str, pure: bool) -> None:
    assert list(forbidden(planted, pure=pure))


@pytest.mark.parametrize(
    "planted",
    [
        "import random",
        "import secrets",
        "from os import urandom",
        "import os\nos.urandom(32)",
        "import numpy as np\nnp.random.default_rng(1)",
        "from numpy.random import default_rng",
        "import uuid",
    ],
)
def test_a_draw_is_seen_in_the_pure_rooms_only(planted: str) -> None:
    assert list(forbidden(planted, pure=True))
    assert not list(forbidden(planted, pure=False))


@pytest.mark.parametrize(
    "source", ['"""No pickle, no eval."""', "import re\nre.compile('x')", "import randomised", "rows.eval"]
)
def test_an_innocent_word_is_not_seen(source: str) -> None:
    assert not list(forbidden(source, pure=True))


# ------------------------------------------------------------------------------------------------- names of machines

SOMEBODYS_HOME = re.compile(r"(?<![\w.~$}])/(?:home|root|Users)/\w+|\b[A-Z]:\\+Users\b")
SOMEBODYS_NETWORK = re.compile(
    r"\b[\w-]+\.(?:intranet|lan|corp)\b|\b(?:index-url|find-links|trusted-host|INDEX_URL|FIND_LINKS)\b"
)


def places(text: str) -> list[str]:
    """Return the homes, private networks and package mirrors that `text` names."""
    return [found.group() for pattern in (SOMEBODYS_HOME, SOMEBODYS_NETWORK) for found in pattern.finditer(text)]


def written(repository: Path) -> Iterator[Path]:
    """Yield every file that people wrote, this one left out."""
    folders = ("federation", "clients", "examples", "tests", "benchmarks", "docs", "protos", ".ci")
    files = [*repository.glob("*"), *(path for folder in folders for path in (repository / folder).rglob("*"))]
    for path in files:
        if path.is_file() and "__pycache__" not in path.parts and path != Path(__file__).resolve():
            yield path


def test_no_file_names_a_machine(repository: Path) -> None:
    here = str(repository)
    found = []
    for path in written(repository):
        text = path.read_text("utf-8", errors="replace")
        found += [f"{path.relative_to(repository)}: {place}" for place in places(text)]
        if here.count("/") > 1 and here in text:
            found.append(f"{path.relative_to(repository)}: the path of this checkout")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "planted", ["see /home/ming/x", "'/root/key'", "/Users/ana", r"C:\Users\ana", "db.lan", "pip --index-url x"]
)
def test_a_machine_is_seen(planted: str) -> None:
    assert places(planted)


@pytest.mark.parametrize(
    "innocent", ["~/.federation", "data/home/x", "coordinator.example:7443", "127.0.0.1", "the root / home"]
)
def test_no_machine_is_seen_where_none_is(innocent: str) -> None:
    assert not places(innocent)

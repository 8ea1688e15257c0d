"""What a reader can expect of every file: explained, short, and named for what it does.

That ruff, its formatter and mypy have nothing to say is judged by `make lint`, which `make test` runs first; here is
shown that they would see what they must.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PRODUCT = ("federation", "clients")
ROOMS = (*PRODUCT, "examples", "tests", "benchmarks")
THINK_AGAIN, NEVER = 400, 600  # lines of one file
LONGEST_FUNCTION = 50  # lines from the first statement to the last
DRAWER = re.compile(r"(^|_)(base|common|helpers?|managers?|misc|utils?)(_|$)")


def modules(repository: Path, *rooms: str) -> list[Path]:
    """Return the Python files of `rooms`, generated ones left out, as paths below the root."""
    found = (path.relative_to(repository) for room in rooms for path in sorted((repository / room).rglob("*.py")))
    return [path for path in found if not path.stem.endswith(("_pb2", "_pb2_grpc"))]


def said_by(tool: str, *arguments: str, cwd: Path) -> str:
    """Return what a tool of this environment has to say, "" when it is content."""
    command = [sys.executable, "-m", tool, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_what_everybody_must_pass_begins_with_the_linters(repository: Path) -> None:
    made = (repository / "Makefile").read_text("utf-8")
    assert re.search(r"^test: lint\b", made, re.MULTILINE)
    (recipe,) = re.findall(r"^lint: .*\n((?:\t.*\n)+)", made, re.MULTILINE)
    assert re.findall(r"\$\(BIN\)/(.*)", recipe) == [
        "ruff check", "ruff format --check", "mypy", "lint-imports --no-logo", "buf lint",
    ]  # fmt: skip
    assert (repository / ".ci/run").read_text("utf-8").endswith("\nmake test\n")


@pytest.fixture
def empty_house(repository: Path, tmp_path: Path) -> Path:
    """Return a folder with our configuration, one room and nothing in it."""
    (tmp_path / "pyproject.toml").write_bytes((repository / "pyproject.toml").read_bytes())
    for wing in ("federation", "federation/query", "clients"):
        (tmp_path / wing).mkdir()
        (tmp_path / wing / "__init__.py").write_text('"""A room."""\n', "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        ("x = 1", "D100"),
        (f'"""{"A word " * 20}."""', "E501"),
        ('"""A module."""\nimport os\n\nos.urandom(1)', "TID251"),
        ('"""A module."""\nimport numpy as np\n\nnp.random.default_rng(1)', "TID251"),
        ('"""A module."""\nimport pickle\n\npickle.loads(b"")', "S301"),
        ('"""A module."""\nassert True', "S101"),
        ('"""A module."""\nfrom .query import x', "TID252"),
        ('"""A module."""\nprint("x")', "T201"),
    ],
)
def test_a_fault_that_ruff_must_see_is_seen(empty_house: Path, planted: str, rule: str) -> None:
    (empty_house / "federation/query/planted.py").write_text(planted + "\n", "utf-8")
    assert rule in said_by("ruff", "check", "--no-cache", "--output-format", "concise", cwd=empty_house)


def test_a_type_that_mypy_must_see_is_seen(empty_house: Path) -> None:
    planted = empty_house / "federation/query/planted.py"
    planted.write_text("def untyped(x):\n    return x\n\n\ndef wrong() -> int:\n    return 'x'\n", "utf-8")
    said = said_by("mypy", cwd=empty_house)
    assert "no-untyped-def" in said
    assert "return-value" in said


def test_no_file_is_longer_than_a_reader_bears(repository: Path) -> None:
    lines = {
        str(path): len((repository / path).read_text("utf-8").splitlines()) for path in modules(repository, *ROOMS)
    }
    for path, count in lines.items():
        if count > THINK_AGAIN:
            print(f"think again about the rooms of {path}: {count} lines")
    assert not {path: count for path, count in lines.items() if count > NEVER}


def too_long(source: str) -> Iterator[str]:
    """Yield "line: name (n lines)" for every function whose code, without its docstring, is longer than a screen."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1 if ast.get_docstring(node) is not None else 0 :]
            lines = node.body[-1].end_lineno - first[0].lineno + 1 if first else 0
            if lines > LONGEST_FUNCTION:
                yield f"{node.lineno}: {node.name} ({lines} lines)"


def test_no_function_is_longer_than_a_screen(repository: Path) -> None:
    files = modules(repository, *PRODUCT)
    found = [f"{path}:{long}" for path in files for long in too_long((repository / path).read_text("utf-8"))]
    assert not found, "\n".join(found)


def test_a_function_longer_than_a_screen_is_seen() -> None:
    line = "    x = 1\n"
    assert not list(too_long("def f():\n" + line * LONGEST_FUNCTION))
    assert list(too_long("def f():\n" + line * (LONGEST_FUNCTION + 1)))


def test_no_file_is_named_for_a_drawer(repository: Path) -> None:
    assert not [path for path in modules(repository, *ROOMS) if is_drawer(path)]


def is_drawer(path: Path) -> bool:
    """Return whether a part of the path says that anything may be thrown in."""
    return any(DRAWER.search(part) for part in path.with_suffix("").parts)


@pytest.mark.parametrize(
    "name", ["utils.py", "query/helpers.py", "common/x.py", "key_manager.py", "base.py", "base_rule.py"]
)
def test_a_drawer_is_seen(name: str) -> None:
    assert is_drawer(Path(name))


@pytest.mark.parametrize("name", ["database.py", "commons_law.py", "basement.py", "federation/wire/convert.py"])
def test_a_room_is_no_drawer(name: str) -> None:
    assert not is_drawer(Path(name))


def test_every_module_says_what_it_is_for(repository: Path) -> None:
    silent = [
        str(path)
        for path in modules(repository, *ROOMS)
        if not (ast.get_docstring(ast.parse((repository / path).read_text("utf-8"))) or "").strip()
    ]
    assert not silent


def test_every_folder_of_the_product_is_a_package(repository: Path) -> None:
    folders = {folder for path in modules(repository, *PRODUCT) for folder in path.parents if folder.name}
    assert not [str(folder) for folder in folders if not (repository / folder / "__init__.py").is_file()]

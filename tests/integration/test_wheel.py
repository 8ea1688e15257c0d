"""What is handed to others: a wheel that runs the demo in an empty folder, and a bundle that installs with no index.

Making them asks a registry for the build backend and the dependencies; without one these tests fail and say so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
from pages import blocks, missing, typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

# A line of the recording: figure, federated, pooled, difference.
SHOWN = re.compile(r"^(\S.*?)  +(-?[\d,.]+)  +-?[\d,.]+  +[\d.e+-]+$", re.MULTILINE)
JOINT = 327_346  # flights that arrived, at all three airports


def run(*command: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it did; stdout and stderr apart."""
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **extra}, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def bundle(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which `make bundle` left its bundle, unpacked and packed."""
    folder = tmp_path_factory.mktemp("dist")
    done = run("/bin/sh", "scripts/bundle.sh", sys.executable, str(folder), cwd=repository)
    if done.returncode != 0:
        pytest.fail(f"the bundle could not be made; is a registry reachable?\n{done.stdout}{done.stderr}")
    return folder


@pytest.fixture(scope="module")
def wheel(bundle: Path) -> Path:
    """Return our wheel."""
    (found,) = (bundle / "federation-bundle/wheels").glob("pearl_federation-*.whl")
    return found


def test_make_bundle_runs_this_script(repository: Path) -> None:
    assert "sh scripts/bundle.sh $(BIN)/python dist $(EXTRAS)" in (repository / "Makefile").read_text("utf-8")


# --- the wheel ------------------------------------------------------------------------------------------------------


def test_the_wheel_holds_what_users_need_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    for needed in (
        "federation/py.typed",
        "clients/py.typed",
        "federation/wire/v1/coordinator_service_pb2.py",
        "federation/wire/v1/coordinator_service_pb2.pyi",
        "federation/wire/v1/coordinator_service_pb2_grpc.py",
        "federation_examples/flights/story.py",
        "clients/cli/main.py",
    ):
        assert needed in names, needed
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "federation", "clients", "federation_examples", "pearl_federation",
    }  # fmt: skip
    assert not [name for name in names if name.endswith((".pyc", ".csv", ".parquet", ".key", ".so"))]
    files = [part for name in names for part in name.split("/")]
    assert not [part for part in files if part == "tests" or part.startswith(("test_", "conftest"))]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with nothing but the wheel's content, to be put before everything else on the path."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def told(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what `demo --json` says, run from the wheel in an empty folder."""
    empty = tmp_path_factory.mktemp("empty")
    done = run(sys.executable, "-m", "clients.cli.main", "demo", "--json", cwd=empty, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    left = {path.name for path in empty.iterdir()}
    assert left <= {"federation-demo-pictures"}, "the demo cleans up after itself, but for the pictures"
    return dict(json.loads(done.stdout))


def test_what_runs_is_the_wheel_and_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    asked = (
        "import clients, federation, federation_examples as e; print(clients.__file__, federation.__file__, e.__file__)"
    )
    places = run(sys.executable, "-c", asked, cwd=tmp_path, PYTHONPATH=str(installed)).stdout.split()
    assert len(places) == 3
    assert all(Path(place).is_relative_to(installed) for place in places), places


def test_the_demo_runs_from_the_wheel_and_every_figure_agrees(told: dict[str, Any]) -> None:
    assert told["status"] == "ok"
    verdicts = [value for key, value in walked(told) if key == "agrees"]
    assert len(verdicts) > 10
    assert all(verdicts)
    assert ("federated", JOINT) in list(walked(told))


def test_the_recording_in_the_readme_shows_what_the_demo_finds(told: dict[str, Any], repository: Path) -> None:
    text = (repository / "README.md").read_text("utf-8").split("## What you will see")[1].split("\n## ")[0]
    shown = {match[1]: match[2] for match in SHOWN.finditer(text)}
    figures = [figure for story in told["data"]["stories"] for figure in story["figures"]]
    assert len(figures) > 10
    for figure in figures:
        written = shown.pop(figure["figure"]).replace(",", "")
        digits = len(written.partition(".")[2])
        assert float(written) == pytest.approx(figure["federated"], abs=0.6 * 10**-digits), figure["figure"]
    assert not shown, "the recording has figures that the demo does not have"


def walked(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, however deep it stands."""
    match value:
        case dict():
            for key, inner in value.items():
                yield key, inner
                yield from walked(inner)
        case list():
            for inner in value:
                yield from walked(inner)


# --- the bundle -----------------------------------------------------------------------------------------------------


def test_the_bundle_installs_with_no_index_as_the_operators_page_says(
    bundle: Path, repository: Path, tmp_path: Path
) -> None:
    shutil.copy(bundle / "federation-bundle.tar.gz", tmp_path)
    (block,) = [each for each in blocks(repository / "docs/operator.md") if each.word == "install"]
    for each in typed(block.text):
        done = run(
            "/bin/bash", "-euc", each.command, cwd=tmp_path,
            PYTHON=sys.executable, PIP_NO_INDEX="1", PIP_INDEX_URL="http://127.0.0.1:9/", PYTHONPATH="",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert not missing(each.expected, done.stdout)
    python = tmp_path / "federation-app/bin/python"
    asked = run(
        str(python), "-I", "-c", "import federation, numpy; print(federation.__file__, numpy.__file__)", cwd=tmp_path
    )
    assert all(Path(each).is_relative_to(tmp_path / "federation-app") for each in asked.stdout.split()), asked.stdout


def unpacked(bundle: Path, folder: Path) -> Path:
    """Return a copy of the unpacked bundle, to be spoiled."""
    return Path(shutil.copytree(bundle / "federation-bundle", folder / "federation-bundle"))


def planted(wheel: Path) -> None:
    """Let a wheel bring one file more."""
    with zipfile.ZipFile(wheel, "a") as opened:
        opened.writestr("planted.py", "print('planted')\n")


def test_a_wheel_that_was_changed_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = unpacked(bundle, tmp_path)
    planted(next((copy / "wheels").glob("structlog-*.whl")))
    done = run("/bin/sh", "install.sh", str(tmp_path / "app"), cwd=copy, PYTHON=sys.executable)
    assert done.returncode == 3
    assert "is not what was made" in done.stderr
    assert not (tmp_path / "app/bin").exists()


def test_a_changed_wheel_with_a_changed_sum_is_refused_by_the_hash_beside_its_version(
    bundle: Path, tmp_path: Path
) -> None:
    copy = unpacked(bundle, tmp_path)
    planted(next((copy / "wheels").glob("structlog-*.whl")))
    summed = run("/bin/sh", "-c", "find . -type f ! -name SHA256SUMS | xargs sha256sum", cwd=copy)
    (copy / "SHA256SUMS").write_text(summed.stdout)
    done = run("/bin/sh", "install.sh", str(tmp_path / "app"), cwd=copy, PYTHON=sys.executable)
    assert done.returncode != 0
    assert "HASH" in done.stderr.upper()
    assert not list((tmp_path / "app").rglob("planted.py"))


def test_a_bundle_for_another_python_says_so(bundle: Path, tmp_path: Path) -> None:
    copy = unpacked(bundle, tmp_path)
    (copy / "made-for.txt").write_text("2.7 linux-x86_64\n")
    (copy / "SHA256SUMS").write_text("")
    summed = run("/bin/sh", "-c", "find . -type f ! -name SHA256SUMS | xargs sha256sum", cwd=copy)
    (copy / "SHA256SUMS").write_text(summed.stdout)
    done = run("/bin/sh", "install.sh", str(tmp_path / "app"), cwd=copy, PYTHON=sys.executable)
    assert done.returncode == 2
    assert "this bundle is for Python 2.7" in done.stderr


def test_without_a_registry_nothing_is_made_and_the_reason_is_said(repository: Path, tmp_path: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": "0"}
    nowhere |= {"PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "PIP_NO_CACHE_DIR": "1"}
    done = run("/bin/sh", "scripts/bundle.sh", sys.executable, str(tmp_path), cwd=repository, **nowhere)
    assert done.returncode == 4
    assert "no registry answered" in done.stderr
    assert not (tmp_path / "federation-bundle.tar.gz").exists()

"""A file of a Debian package is found, fetched or asked for, and never taken when it was changed."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from federation.errors import Misuse
from federation_examples.debian import VARIABLE, Debian
from federation_examples.packages import WrongData

CONTENT = b"rows"
FILE = Debian(
    package="planted-data",
    version="1:2-3",
    path="usr/share/planted/rows.gz",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "cache"


def packed(folder: Path, **files: bytes) -> Path:
    """Return a Debian package of these files, made here."""
    tree = folder / "tree"
    for name, content in files.items():
        path = tree / "usr/share/planted" / name.replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        "Package: planted-data\nVersion: 1:2-3\nArchitecture: all\nMaintainer: tests <tests@example.org>\n"
        "Description: planted\n"
    )
    program = shutil.which("dpkg-deb")
    assert program
    subprocess.run([program, "--build", tree, folder / "made.deb"], check=True, capture_output=True)
    return folder / "made.deb"


def apt(package: Path | None, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let `apt-get download` give this package, or nothing; return the calls that will have been made."""
    calls: list[list[str]] = []
    right = subprocess.run

    def run(command: list[str], **kwargs: object) -> object:
        if Path(command[0]).name != "apt-get":
            return right(command, **kwargs)  # type: ignore[call-overload]
        calls.append(command[1:])
        if package:
            shutil.copy(package, str(kwargs["cwd"]))
        return subprocess.CompletedProcess(command, 0 if package else 100, "", "" if package else "E: no such package")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    return calls


@pytest.mark.parametrize("place", ["usr/share/planted/rows.gz", "rows.gz"])
def test_a_file_in_the_named_folder_is_taken_and_nothing_is_fetched(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named" / place).parent.mkdir(parents=True)
    (tmp_path / "named" / place).write_bytes(CONTENT)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "named"))
    assert FILE.checked() == CONTENT
    assert not (tmp_path / "cache").exists()


def test_a_changed_file_is_refused_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.gz").write_bytes(CONTENT + b"!")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(WrongData, match=r"not the file of planted-data 1:2-3: its SHA-256 differs in .*rows\.gz"):
        FILE.checked()


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="packages are made with dpkg-deb")
def test_a_package_is_fetched_once_and_kept_with_the_files_beside(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = apt(packed(tmp_path, rows_gz=CONTENT, labels_gz=b"labels"), monkeypatch)
    labels = dataclasses.replace(FILE, path="usr/share/planted/labels.gz", sha256=hashlib.sha256(b"labels").hexdigest())
    assert [FILE.checked(), FILE.checked(), labels.checked()] == [CONTENT, CONTENT, b"labels"]
    assert calls == [["download", "planted-data"]]
    assert {path.name for path in cache.rglob("*") if path.is_file()} == {"rows.gz", "labels.gz"}


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="packages are made with dpkg-deb")
@pytest.mark.parametrize("files", [{"rows_gz": b"other"}, {"labels_gz": CONTENT}], ids=["changed", "gone"])
def test_a_package_with_another_file_is_refused(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt(packed(tmp_path, **files), monkeypatch)
    with pytest.raises(WrongData, match="planted-data"):
        FILE.checked()


def test_without_the_package_the_error_says_how_to_get_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    apt(None, monkeypatch)
    with pytest.raises(Misuse, match=r"needs rows\.gz of the Debian package planted-data; E: no such") as caught:
        FILE.checked()
    assert VARIABLE in caught.value.hint
    assert "dpkg-deb -x" in caught.value.hint


def test_a_machine_without_apt_is_told_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misuse, match="there is no apt-get"):
        FILE.checked()

"""Real files out of Debian packages: looked for on this machine, else fetched with apt, and checked by SHA-256.

Nothing is installed and no script of a package is run: the package is downloaded, its files are listed as a tar stream,
and the one that we know is read out of it. What was fetched once is kept in the user's cache folder. Where there is no
Debian, a folder with the files does, named by FEDERATION_EXAMPLES_DATA.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from federation.errors import Misuse
from federation_examples.packages import WrongData

VARIABLE: Final = "FEDERATION_EXAMPLES_DATA"
LONGEST_S: Final = 120.0  # for a package of some 30 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Debian:
    """One file of one package.

    Attributes:
        package: as `apt-get download` calls it.
        version: the one that the file is from; another one serves too if the file is the same.
        path: where the package puts it, without the leading slash.
        sha256: of the file, hex.
    """

    package: str
    version: str
    path: str
    sha256: str

    def checked(self) -> bytes:
        """Return the file's bytes, from this machine or from the package.

        Raises:
            Misuse: the file is not here, and apt could not fetch its package.
            WrongData: the file was changed, here or in the package.
        """
        for place in self._places():
            if place.is_file():
                return self._judged(place.read_bytes(), str(place))
        self._keep()
        return self._judged(self._kept().read_bytes(), str(self._kept()))

    def _places(self) -> Iterator[Path]:
        """Where the file may be already: the folder that was named, where the package is installed, the cache."""
        named = os.environ.get(VARIABLE)
        if named:
            yield Path(named) / self.path
            yield Path(named) / PurePosixPath(self.path).name
        yield Path("/") / self.path
        yield self._kept()

    def _kept(self) -> Path:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "pearl-federation" / f"{self.package}_{self.version.replace(':', '_')}" / self.path

    def _keep(self) -> None:
        """Fetch the package and keep the folder that the file is in: its neighbours are asked for next."""
        beside = PurePosixPath(self.path).parent
        with tempfile.TemporaryDirectory(prefix="federation-example-") as scratch:
            archive = self._fetched(Path(scratch))
            unpacked = Path(scratch) / "files.tar"
            command = [self._program("dpkg-deb"), "--fsys-tarfile", str(archive)]
            with unpacked.open("wb") as stream:
                subprocess.run(command, stdout=stream, check=True, timeout=LONGEST_S)
            with tarfile.open(unpacked) as files:
                for member in files:
                    if member.isreg() and PurePosixPath(member.name).parent == PurePosixPath(".") / beside:
                        content = files.extractfile(member)
                        assert content is not None
                        _put(self._kept().with_name(PurePosixPath(member.name).name), content.read())
        if not self._kept().is_file():
            raise self._refusal(f"package {self.package}, which has no {self.path}")

    def _fetched(self, scratch: Path) -> Path:
        """Download the package into `scratch`. Raises Misuse, saying how to get the file by hand."""
        try:
            done = subprocess.run(
                [self._program("apt-get"), "download", self.package],
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._absence("apt-get took too long") from None
        found = sorted(scratch.glob("*.deb"))
        if not found:
            said = next((line for line in done.stderr.splitlines() if line.startswith("E:")), "apt-get found none")
            raise self._absence(said)
        return found[0]

    def _program(self, name: str) -> str:
        found = shutil.which(name)
        if found is None:
            raise self._absence(f"there is no {name}")
        return found

    def _absence(self, why: str) -> Misuse:
        return Misuse(
            f"this example needs {PurePosixPath(self.path).name} of the Debian package {self.package}; {why}",
            hint=f"apt-get update and try again, or unpack {self.package} {self.version} anywhere "
            f"(dpkg-deb -x PACKAGE FOLDER) and set {VARIABLE}=FOLDER",
        )

    def _judged(self, content: bytes, place: str) -> bytes:
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise self._refusal(place)
        return content

    def _refusal(self, place: str) -> WrongData:
        return WrongData(
            f"{PurePosixPath(self.path).name} is not the file of {self.package} {self.version}: "
            f"its SHA-256 differs in {place}",
            hint=f"take that one away, or name a folder with the right one in {VARIABLE}",
        )


def _put(path: Path, content: bytes) -> None:
    """Write a file at once or not at all: another process may be reading or writing the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as stream:
        stream.write(content)
    Path(stream.name).replace(path)

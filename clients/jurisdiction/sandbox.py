"""Where a bundle's code runs: a process without network, files, other processes or time without end (bubblewrap).

It sees Python, torch and this software read-only, one reviewed file, and an empty folder in memory: no data set, no
key, no state folder, no /proc. It starts with an empty environment and two pipes. What it answers is read up to a
length that is known beforehand, within a time, and believed by nobody (`clients.jurisdiction.confined`).

Refused, by rule "sandbox": a machine without bubblewrap, or where `probe` can do from inside what it must not, and a
state folder inside of what the sandbox shows. There is no way to run such code without it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import platform
import select
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.jurisdiction import probe, seccomp, worker, worker_frames
from clients.jurisdiction.worker_frames import Status
from federation.errors import JobFailed, Refused

PROGRAM: Final = "bwrap"
PLACES: Final = "/usr/bin:/usr/local/bin:/bin"  # an operator's own PATH may lead anywhere
LIBRARIES: Final = ("numpy", "cryptography", "torch")  # whose folders the worker imports from
PROBE_S: Final = 30.0
_PIECE: Final = 1 << 20  # bytes read at once
_HINT: Final = "apt-get install bubblewrap, and let this user make user namespaces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What confined code may take.

    Attributes:
        memory_bytes: address space beside the job's rows; torch alone takes about 0.7 GB of it.
        cpu_s: processor time of one job.
        wall_s: time for one answer.
        scratch_bytes: files in memory.
        threads: that torch computes with.
    """

    memory_bytes: int = 4 << 30
    cpu_s: int = 4 * 3600
    wall_s: float = 600.0
    scratch_bytes: int = 64 << 20
    threads: int = 1


class Sandbox:
    """Starts confined workers.

    Args:
        hidden: the state folder, which must not be seen from inside.
        limits: of every worker.

    Raises:
        Refused: rule "sandbox".
    """

    def __init__(self, hidden: Path, limits: Limits) -> None:
        self._limits = limits
        _check_hidden(hidden)
        self._bubblewrap = _probed(_bubblewrap(), hidden.resolve())

    def start(self, source: bytes, *, rows_bytes: int, who: str) -> Worker:
        """Return a worker that has imported nothing of `source` yet.

        Args:
            source: the reviewed file.
            rows_bytes: of the job's rows, which it may hold beside its own memory.
            who: is blamed for what it does.
        """
        limits = self._limits
        amounts = (limits.memory_bytes + 2 * rows_bytes, limits.cpu_s, limits.scratch_bytes)
        run = [worker.__file__, *map(str, amounts)]
        process = _started(self._bubblewrap, limits, source, run)
        return Worker(process, limits.wall_s, who)


class Worker:
    """One confined process.

    Args:
        wall_s: time for one answer.
        who: is blamed.
    """

    def __init__(self, process: subprocess.Popen[bytes], wall_s: float, who: str) -> None:
        self._process, self._wall_s, self._who = process, wall_s, who
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - both are pipes
        self._asked, self._answered = process.stdin.fileno(), process.stdout.fileno()
        for handle in (self._asked, self._answered):
            os.set_blocking(handle, False)

    def ask(self, pieces: Iterable[bytes | memoryview], *, most: int) -> tuple[Status, bytes]:
        """Send a request and return the answer; whatever goes wrong kills the worker.

        Args:
            most: bytes that an answer may have.

        Raises:
            JobFailed: it took too long, ended, or answered something that is no answer.
        """
        try:
            return self._ask(pieces, most, time.monotonic() + self._wall_s)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it and everything in it; may be called again."""
        self._process.kill()  # of the outer process; the inner ones die with it
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _ask(self, pieces: Iterable[bytes | memoryview], most: int, until: float) -> tuple[Status, bytes]:
        if self._is_ready(self._answered, select.POLLIN, 0.0):
            raise self._garbled() if self._read(1) else self._ended()
        for piece in pieces:
            self._write(memoryview(piece), until)
        magic, status, length = worker_frames.ANSWER.unpack(self._whole(worker_frames.ANSWER.size, until))
        if magic != worker_frames.MAGIC or status not in tuple(Status) or length > most:
            raise self._garbled()
        return Status(status), self._whole(length, until)

    def _write(self, piece: memoryview, until: float) -> None:
        while piece:
            self._wait(self._asked, select.POLLOUT, until)
            try:
                piece = piece[os.write(self._asked, piece) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._ended() from None

    def _whole(self, size: int, until: float) -> bytes:
        found = bytearray()
        while len(found) < size:
            self._wait(self._answered, select.POLLIN, until)
            piece = self._read(min(size - len(found), _PIECE))
            if piece == b"":
                raise self._ended()
            found += piece or b""
        return bytes(found)

    def _read(self, size: int) -> bytes | None:
        try:
            return os.read(self._answered, size)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _wait(self, handle: int, event: int, until: float) -> None:
        if not self._is_ready(handle, event, until - time.monotonic()):
            what = f"{self._who} did not answer within {self._wall_s:g} s and was ended"
            raise JobFailed(what, hint="fewer local steps a round, or a smaller bundle")

    def _is_ready(self, handle: int, event: int, left_s: float) -> bool:
        poll = select.poll()
        poll.register(handle, event)
        return left_s >= 0 and bool(poll.poll(left_s * 1000))

    def _garbled(self) -> JobFailed:
        return worker_frames.garbled(self._who, "an answer of the length that was asked for")

    def _ended(self) -> JobFailed:
        return JobFailed(
            f"{self._who} ended before it answered", hint="it used up its memory or processor time, or ended itself"
        )


# --- the sandbox itself -----------------------------------------------------------------------------------------------


def _bubblewrap() -> Path:
    found = shutil.which(PROGRAM, path=PLACES)
    if found is None:
        raise _no_sandbox(f"{PROGRAM} is not installed")
    return Path(found)


@functools.cache
def _probed(bubblewrap: Path, hidden: Path) -> Path:
    """Return `bubblewrap` if code in it can do nothing that it must not; asked once a process and state folder."""
    run = [probe.__file__, str(hidden), "/etc/passwd", "/proc/self", "/sys/kernel"]
    with _started(bubblewrap, Limits(), b"", run) as process:
        try:
            said = process.communicate(timeout=PROBE_S)[0].decode("ascii", "replace")
        except subprocess.TimeoutExpired:
            process.kill()
            said = "it did not start in time"
    if said != probe.CONFINED:
        raise _no_sandbox(said[:80] or f"{PROGRAM} cannot make one for this user")
    return bubblewrap


def _no_sandbox(why: str) -> Refused:
    return Refused(f"code of a bundle is not run without a sandbox: {why}", rule="sandbox", hint=_HINT)


def _started(bubblewrap: Path, limits: Limits, source: bytes, run: list[str]) -> subprocess.Popen[bytes]:
    """Start Python on the script `run` inside; its environment is empty and says nothing about ours."""
    with _in_memory(seccomp.program(platform.machine())) as rules, _in_memory(source) as code:
        command = [
            str(bubblewrap),
            *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
            *("--unshare-cgroup-try", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
            *("--hostname", "worker", "--setenv", "HOME", "/tmp", "--setenv", "USER", "worker"),  # noqa: S108 - its own
            *("--setenv", "LANG", "C.UTF-8"),
            *("--setenv", "OMP_NUM_THREADS", str(limits.threads), "--setenv", "MKL_NUM_THREADS", str(limits.threads)),
            *("--dev", "/dev", "--remount-ro", "/dev"),
            *("--size", str(limits.scratch_bytes), "--tmpfs", "/tmp"),  # noqa: S108 - its own
            *_shown(),  # after them: this software may lie in /tmp
            *("--ro-bind-data", str(code), worker.SOURCE, "--remount-ro", "/", "--chdir", "/tmp"),  # noqa: S108
            *("--seccomp", str(rules), "--", str(_python()), "-I", "-S", "-B", "-c", _BOOT),
            os.pathsep.join(map(str, _imported())),
            *run,
        ]
        try:
            return subprocess.Popen(  # noqa: S603 - an absolute path, and nothing of it from a message
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                pass_fds=(rules, code),
                bufsize=0,
            )
        except OSError as fault:
            raise _no_sandbox(fault.strerror or "it did not start") from None


# Without `site` nothing runs that a package left behind; folders to import from are told instead.
_BOOT: Final = (
    "import os, runpy, sys; sys.path += sys.argv.pop(1).split(os.pathsep); sys.argv.pop(0); "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    """Yield a handle of a nameless file that has this content."""
    handle = os.memfd_create("bundle")
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(content)
        os.lseek(handle, 0, os.SEEK_SET)
        yield handle
    finally:
        os.close(handle)


def _check_hidden(hidden: Path) -> None:
    place = hidden.resolve()
    for shown in _folders():
        if place.is_relative_to(shown.resolve()):
            raise _no_sandbox(f"the state folder lies in {shown}, which the code would see")


def _shown() -> Iterator[str]:
    """Yield what bubblewrap is told to show, read-only."""
    for path in _folders():
        yield from ("--ro-bind", str(path), str(path))
    for name in ("/lib", "/lib64", "/lib32"):
        if Path(name).is_symlink():
            yield from ("--symlink", str(Path(name).readlink()), name)
    yield from ("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache")
    yield from ("--ro-bind-try", "/proc/cpuinfo", "/proc/cpuinfo")  # which instructions torch may use


def _folders() -> list[Path]:
    """Return what is shown of this machine: its libraries, Python, the packages that are imported from, and ours."""
    library = Path(str(sysconfig.get_config_var("LIBDIR"))) / str(sysconfig.get_config_var("INSTSONAME"))
    system = [Path(name) for name in ("/usr/lib", "/usr/lib64", "/usr/lib32", "/lib", "/lib64", "/lib32")]
    found = [path for path in system if path.is_dir() and not path.is_symlink()]
    found += [_python(), Path(os.__file__).parent, *_imported()[1:], *_ours()]
    return [*dict.fromkeys(found), *([library] if library.is_file() else [])]


def _python() -> Path:
    """Return the interpreter itself, where a virtual environment has a link to it."""
    return Path(sys.executable).resolve()


def _imported() -> list[Path]:
    """Return the folders that are imported from: ours, then those of the libraries."""
    found = [importlib.util.find_spec(name) for name in LIBRARIES]
    origins = [Path(spec.origin) for spec in found if spec is not None and spec.origin]
    return [_ours()[0].parent, *dict.fromkeys(origin.parent.parent for origin in origins)]


def _ours() -> list[Path]:
    """Return the folders `federation` and `clients`."""
    clients = Path(__file__).parent.parent
    return [clients.parent / "federation", clients]

"""A disk that is full under the coordinator's store or a jurisdiction's memory while a job runs: said, and survived.

The disk is a small tmpfs where this system lets us mount one, and in any case a limit on how large the files of the
process may grow (RLIMIT_FSIZE), which needs no permission.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.cli.main import main
from clients.cli.stage import COORDINATOR, Stage
from clients.researcher.session import Session
from federation.coordinator.store import SqliteStore, StrictStore
from federation.errors import FederationError, Unavailable
from federation.identity import control, keys
from federation.identity.sealed import SealedLog

sys.path.insert(0, str(Path(__file__).parent))
from federations import all_rows, written

CHECKOUT = Path(__file__).parents[2]
JOB = b"j" * 32
SMALL_BYTES = 4 * 1024 * 1024


def mounted(folder: Path) -> bool:
    """Mount a small tmpfs on a folder; False where that is not permitted."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES},mode=700", "tmpfs", str(folder)]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def unmounted(folder: Path) -> None:
    command = ["umount", "--lazy", str(folder)]
    subprocess.run(command, capture_output=True, check=True)


def may_mount() -> bool:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "disk"
        done = mounted(folder)
        if done:
            unmounted(folder)
    return done


class Tmpfs:
    """The state folder is a file system of its own, with room for `SMALL_BYTES`."""

    said = "full"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        assert mounted(folder)

    def fill(self, process: subprocess.Popen[bytes]) -> None:
        assert process.poll() is None
        with (self._folder / "filler").open("wb", buffering=0) as file:
            for _ in range(2 * SMALL_BYTES // 4096):
                try:
                    file.write(bytes(4096))
                except OSError as fault:
                    assert fault.errno == errno.ENOSPC
                    return
        raise AssertionError("the disk is larger than it was made")

    def free(self) -> None:
        (self._folder / "filler").unlink()

    def close(self) -> None:
        unmounted(self._folder)


class Limit:
    """No file of the process may grow; what a new process writes is not limited."""

    said = "disk"

    def __init__(self, folder: Path) -> None:
        del folder

    def fill(self, process: subprocess.Popen[bytes]) -> None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, 1))

    def free(self) -> None:
        return

    def close(self) -> None:
        return


DISKS: dict[str, type[Tmpfs | Limit]] = {"tmpfs": Tmpfs, "limit": Limit} if may_mount() else {"limit": Limit}


@contextlib.contextmanager
def staged(folder: Path, member: str, kind: str) -> Iterator[tuple[Stage, Tmpfs | Limit]]:
    """A federation of which one member's state folder is on a disk of that kind."""
    stage = Stage(folder / "stage", written(folder))
    stage.build()
    disk = DISKS[kind](stage.state(member))
    try:
        stage.start()
        yield stage, disk
    finally:
        stage.stop()
        disk.close()


def asked(session: Session, results: list[object]) -> threading.Thread:
    def ask() -> None:
        try:
            results.append(session.table("people", purpose="test", deadline_s=60.0).sum("income").value)
        except FederationError as fault:
            results.append(fault)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def until(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "the other side never came so far"
        time.sleep(0.02)


def one_line(text: str, said: str) -> None:
    """What it wrote last of all: one error with one hint, and no traceback."""
    lines = text.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    hints = [line for line in lines if line.startswith("hint: ")]
    assert (len(errors), len(hints)) == (1, 1), text
    assert said in errors[0]
    assert "Traceback" not in text


@pytest.mark.slow
@pytest.mark.parametrize("kind", DISKS)
@pytest.mark.parametrize("member", [COORDINATOR, "macao"])
def test_a_full_disk_ends_the_process_and_not_the_job(tmp_path: Path, member: str, kind: str) -> None:
    with staged(tmp_path, member, kind) as (stage, disk), stage.session() as session:
        results: list[object] = []
        permitted: set[str] = set()
        session.on_update = lambda update: permitted.update(p.party for p in update.parties if p.step != "offered")
        stage.processes["macao"].send_signal(signal.SIGSTOP)  # the job is under way, and waits for one party
        thread = asked(session, results)
        until(lambda: {"guangdong", "hongkong"} <= permitted)
        ending = stage.processes[member]
        disk.fill(ending)
        stage.processes["macao"].send_signal(signal.SIGCONT)

        assert ending.wait(30) == Unavailable.exit_code
        assert results == []
        if kind == "tmpfs":  # under the limit the log cannot grow either: see the exit code that this must not cost
            one_line((stage.state(member) / "daemon.log").read_text(), disk.said)
        assert not (stage.state(member) / control.SOCKET).exists()
        others = [process for name, process in stage.processes.items() if name != member]
        assert [process.poll() for process in others] == [None, None, None]

        disk.free()
        if member == COORDINATOR:
            stage.start_coordinator()
        else:
            stage.launch(member)
            stage.await_attending(member)
        thread.join(60)
        assert results == [sum(income for income, _, _ in all_rows())]


# --- the first start -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", [COORDINATOR, "macao"])
def test_a_first_start_on_a_full_disk_is_told_and_the_next_one_begins_anew(tmp_path: Path, member: str) -> None:
    stage = Stage(tmp_path / "stage", written(tmp_path))
    stage.build()
    stage.address = "127.0.0.1:1"
    if member == COORDINATOR:
        arguments = ["coordinator", "start", "--config", str(stage.coordinator_file())]
    else:
        stage._write_jurisdiction(member, written(tmp_path)[member])
        arguments = ["jurisdiction", "start", str(stage.jurisdiction_file(member))]
    command = ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", sys.executable, "-m", "clients.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=CHECKOUT)
    assert done.returncode == Unavailable.exit_code, done.stderr
    one_line(done.stderr, "cannot be used")
    state = stage.state(member)
    assert not (state / control.SOCKET).exists()
    assert all(path.stat().st_size == 0 for path in state.iterdir())  # empty files: the next start finds no half store
    if member == COORDINATOR:
        store = SqliteStore(state / "events.db")
        store.append(JOB, [("job", b"first")])
        assert store.events(JOB) == [("job", b"first")]
        store.close()
    else:
        with SealedLog(state, keys.load(stage.folder / "keys" / member).storage_key) as log:
            assert log.append(b"s", "kind", b"first") == 0


# --- the guarantees, each with its planted fault ---------------------------------------------------------------------

BIG = [("frame", bytes(100_000))]


def cramped(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    store.append(JOB, [("job", b"first")])
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    return store


def test_after_a_write_that_failed_no_smaller_one_leaves_a_gap(tmp_path: Path) -> None:
    told: list[FederationError] = []
    store = StrictStore(cramped(tmp_path / "events.db"), told.append)
    with pytest.raises(Unavailable, match="full"):
        store.append(JOB, BIG)
    with pytest.raises(Unavailable, match="full"):
        store.append(JOB, [("frame", b"of the next round")])
    with pytest.raises(Unavailable, match="full"):
        store.put_document(b"d" * 32, b"small")
    assert store.events(JOB) == [("job", b"first")]
    assert len(told) == 1  # the process is told to end once
    store.close()


def test_without_it_the_event_of_the_next_round_would_follow_the_job_at_once(tmp_path: Path) -> None:
    store = cramped(tmp_path / "events.db")
    with pytest.raises(Unavailable, match="full"):
        store.append(JOB, BIG)
    store.append(JOB, [("frame", b"of the next round")])
    assert store.events(JOB) == [("job", b"first"), ("frame", b"of the next round")]
    store.close()


LOGGING = """
import resource, sys, structlog
from clients.cli import daemons
if {planted}:
    daemons._is_file = lambda stream: False
daemons.configured_log("info")
resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))
structlog.get_logger().info("a line that there is no room for")
print("it went on")
sys.exit(4)
"""


@pytest.mark.parametrize("planted", [False, True])
def test_a_log_on_a_full_disk_costs_its_lines_and_neither_the_process_nor_its_exit_code(
    tmp_path: Path, planted: bool
) -> None:
    with (tmp_path / "daemon.log").open("wb") as log:
        command = [sys.executable, "-c", LOGGING.format(planted=planted)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, check=False, timeout=60, cwd=CHECKOUT)
    assert (done.returncode == 4, b"it went on" in done.stdout) == (not planted, not planted)


def test_a_launched_daemon_that_refuses_to_start_gives_its_own_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(tmp_path / "stage", written(tmp_path))
    stage.build()
    (stage.folder / "keys" / COORDINATOR / keys.STORAGE).chmod(0o640)
    assert main(["coordinator", "start", "--detach", "--config", str(stage.coordinator_file())]) == 3
    one_line(capsys.readouterr().err, "storage.key can be read or written by other users")

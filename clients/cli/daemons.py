"""What `federation coordinator` and `federation jurisdiction` share: run here, run detached, stop for certain.

A detached daemon writes its log to `<state>/daemon.log`; `stop` returns only when its process has ended.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from federation.errors import FederationError, Misuse, Refused, Unavailable, Unreachable
from federation.identity import control

LOG: Final = "daemon.log"
START_S: Final = 20.0  # a daemon that is not ready by then has gone wrong
STOP_S: Final = 5.0
STEP_S: Final = 0.02
SETTLE_S: Final = 0.1
LAST_LINES: Final = 20
GONE: Final = "Z"  # states of a process, as /proc has them; a child that ended stays until it is waited for
STANDS_STILL: Final = "T"


class Lossy(io.TextIOBase):
    """A log in a file that loses lines while the disk is full, instead of ending what wrote them or its exit code."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()


def _is_file(stream: TextIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # a stream of a program, which has no file
        return False


def configured_log(level: str) -> None:
    """Let structlog write to stderr: coloured lines on a terminal, one JSON object a line otherwise."""
    import structlog

    terminal = sys.stderr.isatty()
    if _is_file(sys.stderr):
        sys.stderr = Lossy(sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def launched(arguments: Sequence[str], state: Path) -> subprocess.Popen[bytes]:
    """Start `federation ARGUMENTS` as a process of its own that outlives us.

    Raises:
        Unavailable: a daemon runs on this state folder already, or its log cannot be written.
        Misuse: the state folder is none.
    """
    with control.state_folder(state):
        return _launched(arguments, state)


def _launched(arguments: Sequence[str], state: Path) -> subprocess.Popen[bytes]:
    try:
        pid = control.ask(state, "status")["pid"]
    except Unreachable:
        pass
    else:
        raise Unavailable(f"a daemon runs on {state.name} already, process {pid}", hint="stop it first")
    try:
        log_file = os.open(state / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as fault:
        hint = "may this user write there, and is the disk full?"
        raise Unavailable(f"the log {state / LOG} cannot be written: {fault.strerror}", hint=hint) from None
    with os.fdopen(log_file, "ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "clients.cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def ready(process: subprocess.Popen[bytes], state: Path, key: str, *, settle_s: float = SETTLE_S) -> dict[str, object]:
    """Wait until the status of a launched daemon has a true `key`, and return that status.

    Args:
        settle_s: it must be true so long: a daemon that attends with an old memory is shown so, and ends.

    Raises:
        Misuse, Refused, Unreachable, Unavailable: it ended with that exit code, with what its log says last; or it was
            not ready in time and is ended here.
    """
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise _ended(process.returncode, state)
        status = _status(state)
        if status.get(key) and settle_s:
            time.sleep(settle_s)
            status = _status(state)
        if status.get(key):
            return status
        time.sleep(STEP_S)
    process.terminate()  # half a start is none: whoever asked to be told when it is ready was not told
    process.wait(STOP_S)
    raise Unavailable(
        f"the daemon was not ready after {START_S:.0f} s and was ended: {_last_word(state)}",
        hint=f"`federation doctor` finds out why; its log is {state / LOG}",
    )


def _status(state: Path) -> dict[str, object]:
    try:
        return control.ask(state, "status")
    except FederationError:
        return {}


def _ended(code: int, state: Path) -> FederationError:
    """Return the error of a launched daemon, so that our exit code is its own."""
    advice = _last_advice(state)
    what, hint = f"the daemon ended: {_last_word(state)}", f"{advice}; its log is {state / LOG}".removeprefix("; ")
    if code == Refused.exit_code:
        return Refused(what, rule="start", hint=hint)
    kinds: dict[int, type[Misuse | Unavailable]] = {each.exit_code: each for each in (Misuse, Unreachable)}
    return kinds.get(code, Unavailable)(what, hint=hint)


def stopped(state: Path) -> int:
    """End the daemon of a state folder and return its process id, once the process is gone.

    Raises:
        Unreachable: no daemon runs there.
        Unavailable: it does not end.
    """
    pid = int(str(control.ask(state, "stop")["pid"]))
    if not await_state(pid, GONE):
        raise Unavailable(
            f"process {pid} does not end", hint=f"kill -9 {pid}; nothing is lost, it resumes from its log"
        )
    return pid


def await_state(pid: int, state: str) -> bool:
    """Wait until a process is in `state`; return False if it is not after a few seconds."""
    until = time.monotonic() + STOP_S
    while _state_of(pid) != state:
        if time.monotonic() > until:
            return False
        time.sleep(STEP_S)
    return True


def _state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return GONE


def _last_word(state: Path) -> str:
    """Return what a daemon's log said last of what is wrong, as one sentence."""
    lines = _last_lines(state)
    for line in reversed(lines):
        if line.startswith("error: "):
            return line.removeprefix("error: ")
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("why"):
            return str(said["why"])
    return next((line for line in reversed(lines) if line.strip()), "it left no word in its log")


def _last_advice(state: Path) -> str:
    """Return the hint below the error that ends a daemon's log, or nothing."""
    error, hint = ("", "", *_last_lines(state))[-2:]
    return hint.removeprefix("hint: ") if error.startswith("error: ") and hint.startswith("hint: ") else ""


def _last_lines(state: Path) -> list[str]:
    try:
        return (state / LOG).read_text(errors="replace").splitlines()[-LAST_LINES:]
    except OSError:
        return []

"""What `federation coordinator` and `federation jurisdiction` share: run here, run detached, stop for certain.

A detached daemon writes its log to `<state>/daemon.log`; `stop` returns only when its process has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from federation.errors import FederationError, Unavailable, Unreachable
from federation.identity import control

LOG: Final = "daemon.log"
START_S: Final = 20.0  # a daemon that is not ready by then has gone wrong
STOP_S: Final = 5.0
STEP_S: Final = 0.02
LAST_LINES: Final = 20


def configured_log(level: str) -> None:
    """Let structlog write to stderr: coloured lines on a terminal, one JSON object a line otherwise."""
    import structlog

    terminal = sys.stderr.isatty()
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
        Unavailable: a daemon runs on this state folder already.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        pid = control.ask(state, "status")["pid"]
    except Unreachable:
        pass
    else:
        raise Unavailable(f"a daemon runs on {state.name} already, process {pid}", hint="stop it first")
    log_file = os.open(state / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(log_file, "ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "clients.cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def ready(process: subprocess.Popen[bytes], state: Path, key: str) -> dict[str, object]:
    """Wait until the status of a launched daemon has a true `key`, and return that status.

    Raises:
        Unavailable: it ended, or it was not ready in time and is ended here; with what its log says last.
    """
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise Unavailable(f"the daemon ended: {_last_word(state)}", hint=f"its log is {state / LOG}")
        try:
            status = control.ask(state, "status")
        except FederationError:
            status = {}
        if status.get(key):
            return status
        time.sleep(STEP_S)
    process.terminate()  # half a start is none: whoever asked to be told when it is ready was not told
    process.wait(STOP_S)
    raise Unavailable(
        f"the daemon was not ready after {START_S:.0f} s and was ended: {_last_word(state)}",
        hint=f"`federation doctor` finds out why; its log is {state / LOG}",
    )


def stopped(state: Path) -> int:
    """End the daemon of a state folder and return its process id, once the process is gone.

    Raises:
        Unreachable: no daemon runs there.
        Unavailable: it does not end.
    """
    answer = control.ask(state, "stop")
    pid = int(str(answer["pid"]))
    until = time.monotonic() + STOP_S
    while time.monotonic() < until:
        if not _alive(pid):
            return pid
        time.sleep(STEP_S)
    raise Unavailable(f"process {pid} does not end", hint=f"kill -9 {pid}; nothing is lost, it resumes from its log")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"  # a child of ours that ended stays until it is waited for


def _last_word(state: Path) -> str:
    """Return what a daemon's log said last of what is wrong, as one sentence."""
    try:
        lines = (state / LOG).read_text(errors="replace").splitlines()
    except OSError:
        return "it left no log"
    for line in reversed(lines[-LAST_LINES:]):
        if line.startswith("error: "):
            return line.removeprefix("error: ")
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("why"):
            return str(said["why"])
    return next((line for line in reversed(lines) if line.strip()), "it left an empty log")

"""The wire log: every frame in both directions, as received and sent, for audits and tests. Off unless a file is named.

It holds what the wire holds: signed messages and masked words, never a row.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from federation.errors import Unavailable
from federation.wire import convert
from federation.wire import messages as m

Heard: TypeAlias = Callable[[str, str, m.Frame], None]  # direction, the other member, frame


@contextlib.contextmanager
def wire_log(path: Path | None) -> Iterator[Heard]:
    """Yield a function that appends a frame to `path`; None: a no-op.

    A frame is one line of text (Unix time in ns, direction, member, domain, size), its bytes, and a newline.

    Raises:
        Unavailable: the file cannot be written.
    """
    if path is None:
        yield lambda _direction, _member, _frame: None
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as fault:
        raise Unavailable(f"cannot write the wire log {path.name}: {fault.strerror}", hint="see `wire_log`") from None

    def heard(direction: str, member: str, frame: m.Frame) -> None:
        body = convert.frame_bytes(frame)
        line = f"{time.time_ns()} {direction} {member} {frame.signed.domain} {len(body)}\n"
        try:
            file.write(line.encode() + body + b"\n")
            file.flush()
        except OSError as fault:  # a log that was asked for and has holes is worse than none
            raise Unavailable(
                f"cannot write the wire log {path.name}: {fault.strerror}", hint="is the disk full?"
            ) from None

    with file:
        yield heard


def frames_in(path: Path) -> Iterator[tuple[int, str, str, m.Frame]]:
    """Yield (Unix time in ns, direction, member, frame) of a wire log, in order. Raises Malformed."""
    with path.open("rb") as file:
        while line := file.readline():
            at_ns, direction, member, _domain, size = line.decode().split()
            frame = convert.frame_of(file.read(int(size)))
            file.readline()
            yield int(at_ns), direction, member, frame

"""The control socket of a daemon: whoever may open the Unix socket in its state folder (0600) may command it.

One line of JSON in, one line of JSON out, then the connection closes: `{"command": "stop"}` -> `{"ok": true, ...}`.
What a command needs to know stands under "arguments". It is never a network port. A socket that a killed daemon left
behind is replaced; one that answers is not, and neither is what is no socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from federation.errors import FederationError, Misuse, Refused, Unavailable, Unreachable, did_you_mean

SOCKET = "control.sock"
LONGEST_LINE = 64 * 1024
WAIT_S = 5.0

Answer = Mapping[str, object]
Command = Callable[..., Awaitable[Answer]]  # called with the arguments that were sent, by name


@contextlib.contextmanager
def state_folder(folder: Path) -> Iterator[None]:
    """Make a state folder (0700) unless it is there; one that was made and stayed empty, after a failed start, goes.

    Raises:
        Misuse: something else is in its place.
        Unavailable: the system refuses.
    """
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (FileExistsError, NotADirectoryError):
        raise Misuse(f"{folder} is not a folder", hint="name another one in `state`") from None
    except OSError as fault:
        what = f"the state folder {folder} cannot be made: {fault.strerror}"
        raise Unavailable(what, hint="may this user write there, and is the disk full?") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it holds something: a daemon ran
            for place in new:
                place.rmdir()


async def serve(folder: Path, commands: Mapping[str, Command]) -> asyncio.AbstractServer:
    """Listen in `folder` for `commands` until the returned server is closed.

    Raises:
        Unavailable: another daemon answers on this socket, or the system refuses it.
    """
    _make_way(folder)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(json.dumps(await _answered(await reader.readline(), commands)).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError):
            pass  # the caller hung up, or sent a line without end
        finally:
            writer.close()

    old = os.umask(0o177)
    try:
        with _short(folder) as short:
            return await asyncio.start_unix_server(answer, path=short, limit=LONGEST_LINE)
    except OSError as fault:
        hint = "may this user write there, and is the disk full?"
        raise Unavailable(f"no control socket in {folder.name}: {fault.strerror}", hint=hint) from None
    finally:
        os.umask(old)


def _make_way(folder: Path) -> None:
    path = folder / SOCKET
    if path.is_socket():
        if _answers(folder):
            raise Unavailable(
                f"a daemon already runs on {folder.name}", hint="stop it first, or use another state folder"
            )
        path.unlink(missing_ok=True)
    elif os.path.lexists(path):
        raise Misuse(f"{path} is not a control socket", hint="move it away, or use another state folder")


def ask(
    folder: Path, command: str, arguments: Mapping[str, object] | None = None, *, wait_s: float = WAIT_S
) -> dict[str, object]:
    """Send one command to the daemon of `folder` and return its answer.

    Raises:
        Unreachable: no daemon runs there.
        Misuse: the daemon does not know the command, or its arguments make no sense.
        Refused: the daemon will not do it.
    """
    try:
        with _short(folder) as short, socket.socket(socket.AF_UNIX) as link:
            link.settimeout(wait_s)
            link.connect(short)
            request = {"command": command} | ({"arguments": dict(arguments)} if arguments else {})
            link.sendall(json.dumps(request).encode() + b"\n")
            line = link.makefile("rb").readline(LONGEST_LINE)
    except OSError:
        raise Unreachable(f"no daemon runs on {folder.name}", hint="start it first") from None
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):  # it ended before it answered, or it is another program's socket
        raise Unreachable(f"no daemon answers on {folder.name}", hint="is it just ending? ask again, or start it")
    if not answer.get("ok") and answer.get("rule"):
        raise Refused(str(answer.get("message", "")), rule=str(answer["rule"]), hint=str(answer.get("hint", "")))
    if not answer.get("ok"):
        raise Misuse(str(answer.get("message", "the daemon gave no answer")), hint=str(answer.get("hint", "")))
    return answer


async def _answered(line: bytes, commands: Mapping[str, Command]) -> Answer:
    try:
        request = json.loads(line)
        name, arguments = request["command"], dict(request.get("arguments", {}))
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"ok": False, "message": "a command is one line of JSON with the key 'command'"}
    if name not in commands:
        return {"ok": False, "message": "unknown command", "hint": did_you_mean(str(name), commands)}
    try:
        return {"ok": True, **await commands[name](**arguments)}
    except TypeError:
        return {"ok": False, "message": f"the command {name} takes other arguments"}
    except FederationError as fault:
        rule = fault.rule if isinstance(fault, Refused) else ""
        return {"ok": False, "message": fault.message, "hint": fault.hint, "rule": rule}


def _answers(folder: Path) -> bool:
    with _short(folder) as short, socket.socket(socket.AF_UNIX) as link:
        try:
            link.settimeout(1.0)
            link.connect(short)
        except OSError:
            return False
        return True


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Yield a short name of the socket: the system's limit is 108 bytes, and a state folder may lie deeper."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET}"
    finally:
        os.close(handle)

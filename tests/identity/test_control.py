"""The control socket answers whoever may open it, with what was asked, and with an error of ours for what was not."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from federation.errors import Misuse, Refused, Unreachable
from federation.identity import control


async def stop() -> control.Answer:
    return {"pid": 7}


async def add(left: int, right: int = 0) -> control.Answer:
    return {"sum": left + right}


async def refuse() -> control.Answer:
    raise Refused("not here", rule="test", hint="elsewhere")


async def mistake() -> control.Answer:
    raise Misuse("not so", hint="otherwise")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A state folder on which a daemon answers."""
    loop = asyncio.new_event_loop()
    commands = {"stop": stop, "add": add, "refuse": refuse, "mistake": mistake}
    server = loop.run_until_complete(control.serve(tmp_path, commands))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield tmp_path
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def test_a_command_is_answered_with_and_without_arguments(folder: Path) -> None:
    assert control.ask(folder, "stop")["pid"] == 7
    assert control.ask(folder, "add", {"left": 2, "right": 3})["sum"] == 5
    assert control.ask(folder, "add", {"left": 2})["sum"] == 2


def test_errors_come_back_as_what_they_are(folder: Path) -> None:
    with pytest.raises(Refused, match="not here") as refused:
        control.ask(folder, "refuse")
    assert (refused.value.rule, refused.value.hint) == ("test", "elsewhere")
    with pytest.raises(Misuse, match="not so") as mistaken:
        control.ask(folder, "mistake")
    assert mistaken.value.hint == "otherwise"


@pytest.mark.parametrize("arguments", [{}, {"left": 1, "wrong": 2}, {"left": "a", "right": 1}])
def test_other_arguments_are_a_mistake_and_the_daemon_answers_on(folder: Path, arguments: dict[str, object]) -> None:
    with pytest.raises(Misuse, match="other arguments"):
        control.ask(folder, "add", arguments)
    assert control.ask(folder, "stop")["pid"] == 7


def test_an_unknown_command_is_told_which_was_meant(folder: Path) -> None:
    with pytest.raises(Misuse) as caught:
        control.ask(folder, "stopp")
    assert "stop" in caught.value.hint


@pytest.mark.parametrize("line", [b"", b"7", b"[]", b'"stop"', b"{}", b'{"command": "add", "arguments": 7}', b"\xff"])
def test_a_line_that_is_no_command_is_answered_so(folder: Path, line: bytes) -> None:
    with control._short(folder) as short, socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5)
        link.connect(short)
        link.sendall(line + b"\n")
        answer = json.loads(link.makefile("rb").readline())
    assert answer["ok"] is False
    assert "one line of JSON" in answer["message"]


def test_no_daemon_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        control.ask(tmp_path, "stop")

"""Bytes that went over a process's own TCP connections, as the kernel counts them: TLS and acknowledged bytes alike.

Asks Linux (`NETLINK_SOCK_DIAG`) for `tcp_info`; where there is none, nothing is known, which is said and not guessed.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOCK_DIAG, BY_FAMILY = 4, 20  # netlink family, kind of the question
ROOT_MATCH_REQUEST = 0x301  # all sockets that fit
ESTABLISHED, INFO = 1 << 1, 2  # states that are asked for, the attribute that holds tcp_info
HEAD, ANSWER = struct.Struct("=IHHII"), 72  # header of a message; bytes of an answer before its attributes
DONE, FAULT = 3, 2
PORTS, INODE_AT, ACKED_AT = struct.Struct(">HH"), 68, 120  # where they lie; after acknowledged come received bytes
COUNTS, ATTRIBUTE = struct.Struct("=QQ"), struct.Struct("=HH")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of a process over its connections to one port."""

    sent: int
    received: int


def traffic(pid: int, port: int) -> Traffic | None:
    """Return what a process has sent to and received from `port` over connections that are open; None if unknown."""
    own = _inodes(pid)
    try:
        found = [(acked, received) for inode, to, acked, received in _connections() if inode in own and to == port]
    except OSError:
        return None
    if not found:
        return None
    return Traffic(sum(acked for acked, _ in found), sum(received for _, received in found))


def _inodes(pid: int) -> set[int]:
    found = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                where = str(entry.readlink())
                if where.startswith("socket:["):
                    found.add(int(where[8:-1]))
    return found


def _connections() -> Iterator[tuple[int, int, int, int]]:
    """Yield (inode, remote port, acknowledged bytes, received bytes) of every open connection of either family."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as asking:
            body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 1 << (INFO - 1), 0, ESTABLISHED) + bytes(48)
            asking.send(HEAD.pack(HEAD.size + len(body), BY_FAMILY, ROOT_MATCH_REQUEST, 1, 0) + body)
            yield from _answers(asking)


def _answers(asking: socket.socket) -> Iterator[tuple[int, int, int, int]]:
    while True:
        data, at = asking.recv(1 << 20), 0
        while at < len(data):
            length, kind, *_ = HEAD.unpack_from(data, at)
            if kind == DONE:
                return
            if kind == FAULT:
                raise OSError("the kernel does not tell about connections")
            message = data[at + HEAD.size : at + length]
            _, port = PORTS.unpack_from(message, 4)
            (inode,) = struct.unpack_from("=I", message, INODE_AT)
            for kind_of, value in _attributes(message[ANSWER:]):
                if kind_of == INFO and len(value) >= ACKED_AT + COUNTS.size:
                    yield inode, port, *COUNTS.unpack_from(value, ACKED_AT)
            at += length + 3 & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        yield kind, data[at + ATTRIBUTE.size : at + length]
        at += max(length, ATTRIBUTE.size) + 3 & ~3

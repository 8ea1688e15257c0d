"""Holders of a key and their relay in memory: real drivers, no sockets; frames are lost and memories folded again."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from itertools import count
from typing import Any

import pytest

from clients.jurisdiction import ceremonies
from clients.jurisdiction.ceremonies import Ceremonies
from clients.jurisdiction.joint_keys import JointKeys
from clients.jurisdiction.outcomes import Shown
from clients.jurisdiction.vault import MemoryVault, Vault
from federation.coordinator import ceremonies as relayed
from federation.coordinator.driver import Driver
from federation.coordinator.run import Outgoing
from federation.coordinator.store import MemoryStore
from federation.wire import messages as m
from federation.wire.certificates import ceremony_of
from federation.wire.envelope import signed
from tests.protocols.key_ceremony.players import remember_transfers
from tests.wire.members import RELAY, people, roster

HOLDERS = ("guangdong", "hongkong", "macao")
NOW = 1_700_000_000_000
HOUR_MS = 3_600_000
SALT = b"06 %04d"  # of the entropy of the seeded ceremony
Change = Callable[[str, m.Frame], m.Frame | None]


class Circle:
    """Three holders and their relay; frames wait in one queue, in the order in which they were said.

    Attributes:
        now: Unix time in milliseconds, of everybody.
        sent: every frame that a holder sent, with its name.
        change: what becomes of a frame of a holder on its way to the relay; None: it is lost.
    """

    def __init__(self, *, development: bool = True, vaults: Callable[[str], Vault] = lambda _: MemoryVault()) -> None:
        self.now = NOW
        self.development = dict.fromkeys(HOLDERS, development)
        self.store = MemoryStore()
        self.vaults = {name: vaults(name) for name in HOLDERS}
        self.entropy: Callable[[int], bytes] = secrets.token_bytes
        self.holders: dict[str, Ceremonies] = {}
        self.keys: dict[str, JointKeys] = {}
        self.notes: list[tuple[str, str, str]] = []
        self.sent: list[tuple[str, m.Frame]] = []
        self.change: Change = lambda _, frame: frame
        self.queue: deque[tuple[str, bool, m.Frame]] = deque()  # whose line, whether towards the relay
        self.relay = self._relay()
        for name in HOLDERS:
            self.start(name)

    # --- lives ------------------------------------------------------------------------------------------------------

    def _relay(self) -> Driver:
        relay = Driver(people()[RELAY], roster(), self.store, clock=lambda: self.now)
        relay.resume()
        return relay

    def start(self, name: str) -> None:
        """Start a holder, on what its vault has, and let it attend."""
        keys = self.keys[name] = JointKeys(self.vaults[name])
        self.holders[name] = Ceremonies(
            me=people()[name],
            coordinator=RELAY,
            roster=roster(),
            vault=self.vaults[name],
            keys=keys,
            entropy=self.entropy,
            clock=lambda: self.now,
            development=self.development[name],
            note=lambda event, _, text: self.notes.append((name, event, text)),
        )
        self.attend(name)

    def attend(self, name: str) -> None:
        """Open a new line: what was on the old one is lost."""
        self.queue = deque(item for item in self.queue if item[0] != name)
        hello = m.Hello(
            party=name, roster_hash=roster().hash, software="t", publications=(), open_jobs=self.holders[name].open
        )
        self._deliver(self.relay.attend(name, m.Frame(signed(people()[name], m.HELLO, hello))))
        self.say(name, self.holders[name].greeting())

    def leave(self, name: str) -> None:
        """Break a line: the holder stands still, and nobody hears of it."""
        self.queue = deque(item for item in self.queue if item[0] != name)
        self._deliver(self.relay.leave(name))

    def kill_relay(self, *order: str) -> None:
        """Start the relay again, on what its store has: all lines break.

        Args:
            order: who attends again, one when all is said that follows from the one before; all at once if left out.
        """
        self.kill_relay_alone()
        for name in order:
            self.attend(name)
            self.run()
        for name in () if order else HOLDERS:
            self.attend(name)

    def kill_relay_alone(self) -> None:
        """Start the relay again: all lines break, and nobody attends."""
        self.queue.clear()
        self.relay = self._relay()

    # --- what an operator does --------------------------------------------------------------------------------------

    def propose(self, by: str = "macao", bits: int = 512, holders: tuple[str, ...] = HOLDERS) -> bytes:
        """Propose a key; return its ceremony's id."""
        ceremony, frames = self.holders[by].propose(holders, bits, HOUR_MS)
        self.say(by, frames)
        return ceremony

    def approve(self, name: str) -> None:
        """Approve the one that waits."""
        self.say(name, self.holders[name].approve()[1])

    def begun(self, by: str = "macao") -> bytes:
        """Propose a key, and let all approve."""
        ceremony = self.propose(by)
        self.run()
        for name in HOLDERS:
            if name != by:
                self.approve(name)
        return ceremony

    def last(self, name: str) -> Shown:
        """What a holder shows of the ceremony that came last."""
        return self.holders[name].shown()[-1]

    @property
    def states(self) -> list[str]:
        """The states of everybody's last ceremony."""
        return [self.last(name).state for name in HOLDERS]

    # --- frames -----------------------------------------------------------------------------------------------------

    def say(self, name: str, frames: list[m.Frame]) -> None:
        """Put what a holder says on its line."""
        self.sent += [(name, frame) for frame in frames]
        self.queue.extend((name, True, frame) for frame in frames)

    def move(self) -> None:
        """Carry one frame to where it goes, and queue what follows from it."""
        name, outward, frame = self.queue.popleft()
        if outward:
            changed = self.change(name, frame)
            if changed is not None:
                self._deliver(self.relay.receive(name, changed))
        else:
            self.say(name, self.holders[name].receive(frame))

    def run(self, until: Callable[[], Any] = lambda: False) -> None:
        """Carry frames until nothing is on its way, or something is so."""
        while self.queue and not until():
            self.move()

    def _deliver(self, outgoing: list[Outgoing]) -> None:
        attending = self.relay.connected
        self.queue.extend((item.to, False, item.frame) for item in outgoing if item.to in attending)


@contextmanager
def seeded() -> Iterator[Callable[..., Circle]]:
    """Make circles whose ceremony is the same in every run: batches of 64, the modulus is in the second one."""
    with pytest.MonkeyPatch.context() as patch:
        remember_transfers(patch)
        for room in (ceremonies, relayed):
            patch.setattr(
                room, "ceremony_of", lambda *given: replace(ceremony_of(*given), id=sha256(b"fixed").digest(), batch=64)
            )

        def circle(**further: Any) -> Circle:
            numbers = count()
            found = Circle(**further)
            found.entropy = lambda size: (SALT % next(numbers) * size)[:size]
            for name in HOLDERS:
                found.start(name)
            return found

        yield circle

"""Joint keys at the coordinator: the certificates of their holders, as ceremonies made them; it holds no share of any.

Whoever gets one verifies all holders' signatures again: the coordinator can withhold a key, and cannot make one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from federation.domain.roster import Roster
from federation.errors import ProtocolViolation
from federation.wire import messages as m
from federation.wire.certificates import Certified, certified


class JointKeys:
    """The joint keys that jobs may name.

    Args:
        roster: whose signatures count.
        made: returns what ceremonies made so far, oldest first.
    """

    def __init__(self, roster: Roster, made: Callable[[], Iterable[tuple[m.Signed, ...]]] = tuple) -> None:
        self._roster, self._made = roster, made
        self._kept: dict[tuple[m.Signed, ...], Certified | None] = {}  # verified once
        self._given: list[tuple[m.Signed, ...]] = []

    def keep(self, signatures: Iterable[m.Signed]) -> Certified:
        """Keep a key that no ceremony made, for as long as this process lives. Raises ProtocolViolation."""
        found = certified(signatures, self._roster, relay="the dealer")
        self._given.append(found.signatures)
        return found

    def of(self, key: bytes) -> Certified | None:
        """Return the key of this digest, also one whose epoch is over, or None."""
        found = (self._read(signatures) for signatures in self.signatures())
        return next((one for one in found if one is not None and one.digest == key), None)

    def signatures(self) -> list[tuple[m.Signed, ...]]:
        """Return all keys, oldest first, each as all its holders signed it."""
        return [*self._made(), *self._given]

    def _read(self, signatures: tuple[m.Signed, ...]) -> Certified | None:
        if signatures not in self._kept:
            try:
                self._kept[signatures] = certified(signatures, self._roster, relay="a ceremony")
            except ProtocolViolation:  # a holder has another identity since: nobody would believe it
                self._kept[signatures] = None
        return self._kept[signatures]

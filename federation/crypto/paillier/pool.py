"""Blindings made beforehand, while a daemon has nothing else to do: each is given out once, and not to two processes.

A blinding is an alpha with its power hs^alpha. What a fork copied is thrown away in the child, which draws others. A
machine that comes back from a snapshot would give out again what it had given out: whoever takes snapshots of memory
keeps no pool, since an Engine without one binds its blindings to the plaintexts.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from federation.crypto.paillier.comb import comb
from federation.crypto.paillier.draws import Draws, hashed
from federation.crypto.paillier.keys import PublicKey

_LABEL = b"federation/paillier/pool/v1"


class Pool:
    """Blindings under one key.

    Args:
        public: the key.
        entropy: 32 secret bytes, for this pool only.
        process: tells which process this is, as `os.getpid` does.
    """

    __slots__ = ("_entropy", "_fillings", "_home", "_process", "_public", "_ready")

    def __init__(self, public: PublicKey, entropy: bytes, process: Callable[[], int]) -> None:
        self._public, self._entropy, self._process = public, entropy, process
        self._home, self._fillings = process(), count()
        self._ready: list[tuple[int, int]] = []

    def __len__(self) -> int:
        self._settle()
        return len(self._ready)

    def fill(self, more: int) -> None:
        """Add so many blindings, on both cores where threads were lent."""
        self._settle()
        filling = next(self._fillings).to_bytes(8, "big")
        draws = Draws(self._entropy, _LABEL, self._public.digest, filling)
        bits = self._public.alpha_bits
        alphas = [int(draws.bits(bits)) for _ in range(more)]
        powers = comb(self._public.n, self._public.hs, bits).powers(alphas)
        self._ready.extend(zip(alphas, powers, strict=True))

    def take(self, most: int) -> list[tuple[int, int]]:
        """Return up to `most` blindings (alpha, hs^alpha), which nobody gets again, from whichever thread."""
        self._settle()
        taken = []
        for _ in range(most):
            try:
                taken.append(self._ready.pop())  # one step of the interpreter: no two threads get the same
            except IndexError:
                break
        return taken

    def _settle(self) -> None:
        """Leave to the process that this one was forked from what it had."""
        here = self._process()
        if here != self._home:
            self._home, self._ready = here, []
            self._entropy = hashed(_LABEL, self._entropy, here.to_bytes(8, "big"))

"""Work on a list in as many runs as cores were lent, each in its own thread; the results come back in order.

gmpy2 lets other threads run inside `powmod_base_list` and `powmod_exp_list`. Loops of products hold the interpreter
unless the thread asks gmpy2 to let go at every operation, which is done here, and only where there is a second run: a
thread that lets go so often starves beside one that never does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import gmpy2

from federation.crypto import blinding

S = TypeVar("S")
T = TypeVar("T")

LEAST = 2  # items that are worth a second thread: each takes milliseconds


def in_runs(items: Sequence[S], work: Callable[[Sequence[S]], list[T]]) -> list[T]:
    """Return what `work` returns for consecutive runs of `items`, joined.

    Args:
        work: is called from several threads at once if `blinding.lend` lent some; itself it spreads nothing.

    Raises:
        Exception: what `work` raised.
    """
    if blinding.lent() is None or len(items) < LEAST:
        return work(items)
    done: dict[int, list[T]] = {}

    def run(places: range) -> None:
        with gmpy2.context(gmpy2.get_context(), allow_release_gil=True):
            done[places.start] = work(items[places.start : places.stop])

    blinding.share(run, len(items), LEAST)
    return [result for start in sorted(done) for result in done[start]]

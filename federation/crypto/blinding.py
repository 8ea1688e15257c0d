"""Puts many masks on a vector, or takes them off, in place and one cache-sized chunk at a time.

Every seed is the seed of one keystream that starts at byte 0 of the vector, so a seed is used for one vector and never
again: two vectors under one mask show their difference. Chunks do not depend on each other, so a run of them can be
done beside another one, each stream entered at its own place. This room starts no thread: whoever has a pool lends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from federation.crypto.prg import PIECE_BYTES, Keystream, room
from federation.crypto.ring import CHUNK_BYTES, Chunk, Ring, Tally
from federation.errors import Misuse

T = TypeVar("T")

CHUNK_WORDS = CHUNK_BYTES // 8
PIECE_CHUNKS = PIECE_BYTES // CHUNK_BYTES  # go through all streams at once; one and their keystream fit a core's cache
# Chunks times streams below which a run is not worth handing over: each costs some 40 us, waking a thread up to 100 us.
LEAST_WORTH_SPREADING = 16


# Carries out runs, at once or one after another: the `map` of a pool of threads is one, and so is the builtin `map`.
# Ciphers, numpy and hashlib let another thread run while they work on a chunk.
Spread = Callable[[Callable[[range], None], Sequence[range]], Iterable[None]]
_LENT: list[Spread] = []


def lend(spread: Spread) -> Callable[[], None]:
    """Let long vectors of this process use a pool's threads; what is computed does not depend on it.

    Returns:
        What takes it back, to be called before the pool is closed: another one that is still lent is used then. Several
        members may live in one process, and whoever leaves must not leave a closed pool behind.
    """
    _LENT.append(spread)
    return lambda: _LENT.remove(spread) if spread in _LENT else None


def lent() -> Spread | None:
    """Return what was lent last to this process, for other work that comes in many equal parts."""
    return _LENT[-1] if _LENT else None


def carry_out(spread: Spread, work: Callable[[range], None], runs: Sequence[range]) -> None:
    """Do all runs, the first of them in the caller's thread: waking one thread less is some 50 us.

    Raises:
        Exception: what `work` raised, once no run is under way any more.
    """
    others = spread(work, runs[1:])  # a pool begins at once
    try:
        for run in runs[:1]:
            work(run)
    finally:
        for _ in others:
            pass


def share(work: Callable[[range], None], count: int, least: int = 2) -> None:
    """Do `work` for all of range(count): in two runs at once where threads were lent and there are at least `least`.

    Raises:
        Exception: what `work` raised, once no run is under way any more.
    """
    spread = lent()
    worth = spread is not None and count >= least
    carry_out(map if spread is None else spread, work, _cut(range(count), 2 if worth else 1))


def blind(
    words: NDArray[np.uint64],
    ring: Ring,
    *,
    add: Sequence[bytes] = (),
    subtract: Sequence[bytes] = (),
    finish: Callable[[memoryview], T] | None = None,
    threads: int | None = None,
    spread: Spread | None = None,
) -> list[T]:
    """Add and subtract the keystreams of these seeds to `words`, in place.

    Args:
        words: flat, writable, little-endian; whole elements of `ring`.
        add: 32-byte seeds, each used for this vector only.
        subtract: likewise.
        finish: is called once for the bytes of every finished chunk (all have CHUNK_BYTES, the last may be shorter),
            while they are in the cache; from several threads at once if `spread` has several.
        threads: how many runs the vector is cut into at most; as many as `spread` can do at once, two unless told.
        spread: carries the runs out; by default what was lent, and without that one run, in the caller's thread.

    Returns:
        What `finish` returned, in the order of the chunks; nothing without it.

    Raises:
        Misuse: words or seeds of another form, or no thread at all.
        Exception: what `finish` raised, once no run writes into `words` any more; these are then worth nothing.
    """
    ring.check(words)
    if not words.flags.writeable:
        raise Misuse("words that can be written are needed")
    seeds = _checked(add), _checked(subtract)

    def piece(places: range) -> NDArray[np.uint64]:
        return words[places.start * CHUNK_WORDS : places.stop * CHUNK_WORDS]

    def blinded(run: range) -> list[T]:
        return _blinded(ring, seeds, finish, run, words.nbytes, piece)

    return _spread_out(blinded, words.nbytes, len(add) + len(subtract), threads, spread)


def blinded_sum(
    terms: Sequence[Sequence[Chunk]],
    ring: Ring,
    *,
    add: Sequence[bytes] = (),
    subtract: Sequence[bytes] = (),
    finish: Callable[[memoryview], T],
    threads: int | None = None,
    spread: Spread | None = None,
) -> list[T]:
    """Return what `finish` made of every chunk of the sum of `terms` and keystreams; the sum itself is kept nowhere.

    Args:
        terms: at least one vector, all equally long, in pieces of CHUNK_BYTES of which the last may be shorter.
        ring, add, subtract, finish, threads, spread: as for `blind`. A chunk is overwritten once it is finished.

    Raises:
        Misuse: terms or seeds of another form, or no thread at all.
        Exception: what `finish` raised.
    """
    size = sum(map(len, terms[0])) if terms else 0
    sizes = [min(CHUNK_BYTES, size - start) for start in range(0, size, CHUNK_BYTES)]
    if not sizes or any([len(piece) for piece in term] != sizes for term in terms):  # numpy would spread a short one
        raise Misuse("terms as long as each other, in pieces of CHUNK_BYTES, are needed")
    if size % ring.element_bytes:
        raise Misuse(f"{size} bytes are not a whole number of elements of {ring.element_bytes} bytes")
    seeds = _checked(add), _checked(subtract)

    def blinded(run: range) -> list[T]:
        scratch = np.empty(min(PIECE_BYTES, size) // 8, dtype="<u8")

        def piece(places: range) -> NDArray[np.uint64]:
            for start, place in enumerate(places):
                words = scratch[start * CHUNK_WORDS : start * CHUNK_WORDS + sizes[place] // 8]
                words[:] = np.frombuffer(terms[0][place], dtype="<u8")
                tally = Tally(ring, words)
                for term in terms[1:]:
                    tally.add(np.frombuffer(term[place], dtype="<u8"))
                tally.settle()
            return scratch[: sum(sizes[place] for place in places) // 8]

        return _blinded(ring, seeds, finish, run, size, piece)

    return _spread_out(blinded, size, len(terms) + len(add) + len(subtract), threads, spread)


Seeds = tuple[Sequence[bytes], Sequence[bytes]]


def _checked(seeds: Sequence[bytes]) -> Sequence[bytes]:
    if any(len(seed) != 32 for seed in seeds):
        raise Misuse("the seed of a mask has 32 bytes")
    return seeds


def _spread_out(
    blinded: Callable[[range], list[T]], size: int, streams: int, threads: int | None, spread: Spread | None
) -> list[T]:
    """Do `blinded` for all chunks of `size` bytes, in runs; join what they return."""
    if threads is not None and threads < 1:
        raise Misuse("at least one thread is needed")
    chunks = range(-(-size // CHUNK_BYTES))
    spread = spread or lent()
    done: dict[int, list[T]] = {}
    faults: dict[int, Exception] = {}

    def work(run: range) -> None:
        try:
            done[run.start] = blinded(run)
        except Exception as fault:  # noqa: BLE001 - raised below, when no other run writes any more
            faults[run.start] = fault

    worth = spread is not None and len(chunks) * streams >= LEAST_WORTH_SPREADING
    runs = _cut(chunks, (threads or 2) if worth else 1)
    carry_out(map if spread is None else spread, work, runs)
    if faults:
        raise faults[min(faults)]
    return [result for run in runs for result in done[run.start]]


def _cut(chunks: range, most: int) -> list[range]:
    """Return at most `most` runs of nearly equal length that follow each other, none of them empty."""
    count = min(most, len(chunks))
    ends = [len(chunks) * i // count for i in range(count + 1)] if count else []
    return [chunks[start:end] for start, end in pairwise(ends)]


def _blinded(
    ring: Ring,
    seeds: Seeds,
    finish: Callable[[memoryview], T] | None,
    run: range,
    size: int,
    piece: Callable[[range], NDArray[np.uint64]],
) -> list[T]:
    """Put all streams on the chunks of `run`, a piece at a time; none reaches over two segments of a stream."""
    buffer = room(min(PIECE_BYTES, size))  # one for all streams: hundreds of them stay in the cache
    added, subtracted = ([Keystream(seed, run.start * CHUNK_BYTES, buffer=buffer) for seed in some] for some in seeds)
    done: list[T] = []
    start = run.start
    while start < run.stop:
        places = range(start, min(run.stop, start - start % PIECE_CHUNKS + PIECE_CHUNKS))
        words = piece(places)
        tally = Tally(ring, words)
        for stream in added:
            tally.add(stream.words(words.nbytes))
        for stream in subtracted:
            tally.subtract(stream.words(words.nbytes))
        tally.settle()
        if finish is not None:
            data = words.data.cast("B").toreadonly()
            done += [finish(data[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES)]
        start = places.stop
    return done

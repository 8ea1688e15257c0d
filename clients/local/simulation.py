"""Many parties in one process: how a strategy learns over a hundred or a thousand of them, with or without masks.

Every round trains at those who are there, one after another, and merges what they send: cut, quantised, packed and
added as words by the functions that daemons and coordinator run, so three parties simulated and the same three of
`fed.local` end with one model, bit for bit. With masks a round is a whole masked sum: keys, agreements, shares, masks,
and recovery of those who are lost after they have shared; the model is the same to the bit.

It protects nobody: rows and secrets of all are in one memory, and all that is drawn comes from the seed. Who is lost in
a round is back in the next. Refused: fewer than three parties, more lost than a sum may lose.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clients.jurisdiction.learning import COARSE_BITS, rounded_away
from clients.jurisdiction.trainer import computing, step_seed
from clients.local.simulated_sum import Round, dealt
from federation.crypto.encoding import Packing
from federation.domain.job import digest
from federation.errors import JobFailed, Misuse
from federation.jobs.training import LABEL, Progress
from federation.protocols.setup import Check, Setup, Spec, chunked, colluders_of
from federation.training.inputs import Inputs
from federation.training.model import Model
from federation.training.strategy import Public, Rows, Schedule, Strategy, Update, Work

FEWEST: Final = 3
THREADS: Final = 2  # one trains or encodes while another masks; ciphers and numpy let both run
AHEAD: Final = 4  # updates that wait for a thread: more would be memory, and no time
MAY_BE_LOST: Final = 10  # one in so many, and as many may be corrupt: what the neighbours of masked sums are for
_SIMULATION: Final = "federation/local/simulation/v1"

Arrays = tuple[NDArray[np.float32], ...]
History = tuple[Progress, ...]


def simulate(
    strategy: Strategy[Any],
    parameters: Schedule,
    model: Model[Any],
    config: Any,  # noqa: ANN401 - of the model
    inputs: Inputs,
    parties: Sequence[Rows] | Callable[[int], Rows],
    seed: int,
    *,
    masked: bool,
    dropped: float = 0.0,
    count: int = 0,
    names: Sequence[str] = (),
) -> tuple[Public, History]:
    """Return what everybody knows after all rounds, and the rounds; equal arguments give equal bits on one machine.

    Args:
        strategy, parameters, model, config, inputs: as in a training plan.
        parties: the training rows of each, standardised; or what returns them by number, where they do not all fit.
        seed: whatever is drawn is drawn from it; 0 to 2^63 - 1.
        masked: whether updates are summed under masks.
        dropped: share of the parties that is lost in every round, drawn anew each time: with masks after they have
            shared, so that their masks have to be recovered. At most a third, with masks.
        count: how many parties, where `parties` is called.
        names: of the parties; what each draws depends on its name. By default p0, p1, ...

    Raises:
        Misuse: fewer than three parties, parties without rows, names that do not fit, more lost than may be.
        JobFailed: the model is not finite at the end.
    """
    cast = _Cast(parties, count or (0 if callable(parties) else len(parties)), names)
    lost = round(dropped * len(cast.names))
    if not 0 <= dropped < 1 or len(cast.names) - lost < FEWEST or not 0 <= seed < 1 << 63:
        raise Misuse("a simulation has a seed from 0 to 2^63 - 1, and at least three parties left in every round")
    layout = model.layout(config, inputs)
    public = strategy.begun(parameters, layout, layout.initial(digest(f"{LABEL}/seed", _whole(seed))))
    packing = Packing.standard(
        strategy.length(parameters, layout),
        len(cast.names),
        parameters.bits,
        clip=parameters.clip,
        weight_most=cast.rows if parameters.weighted else 1,
    )
    history = []
    module = model.module(config, inputs)
    with nullcontext() if module is None else computing(threads=1), ThreadPoolExecutor(THREADS) as pool:
        for index in range(parameters.rounds):
            counted = cast.left(seed, index, lost)
            total = _Total(pool, packing, _masking(cast.names, packing, seed, index, lost) if masked else None)
            for place in counted:
                name = cast.names[place]
                work = Work(
                    module=module,
                    layout=layout,
                    inputs=inputs,
                    rows=cast.rows_of(place),
                    public=public,
                    kept=cast.kept.get(place, ()),
                    round_index=index,
                    seed=step_seed(seed, name, index),
                )
                update = strategy.local_step(parameters, work)
                total.add(name, cast.with_rest(place, update, packing), update.weight)
                if update.kept:
                    cast.kept[place] = update.kept
            there = tuple(cast.names[place] for place in counted)
            decoded = packing.decode(chunked(total.opened(there)), len(there))
            public = strategy.merge(parameters, layout, public, decoded.mean, index)
            share = decoded.clipped / (len(there) * packing.length)
            history.append(Progress(round_index=index, parties=there, weight=decoded.weight, clipped=share))
    if not np.isfinite(public.model).all():
        raise JobFailed("the model is not finite any more", hint="lower lr, or bound updates with norm")
    return public, tuple(history)


class _Cast:
    """Who takes part, and what each keeps to itself between rounds."""

    def __init__(self, parties: Sequence[Rows] | Callable[[int], Rows], count: int, names: Sequence[str]) -> None:
        if count < FEWEST:
            raise Misuse(f"a federation needs at least {FEWEST} parties, got {count}")
        width = len(str(count - 1))
        self.names = tuple(names) or tuple(f"p{place:0{width}}" for place in range(count))
        if len(self.names) != count or tuple(sorted(set(self.names))) != self.names:
            raise Misuse("parties have a name each, all different and sorted")
        self.rows_of = parties if callable(parties) else parties.__getitem__
        self.rows = sum(self.rows_of(place).size for place in range(count))
        self.kept: dict[int, Arrays] = {}
        self._rest: dict[int, NDArray[np.float32]] = {}  # what rounding to few bits took away, as at a daemon

    def left(self, seed: int, index: int, lost: int) -> list[int]:
        """Return who is not lost in a round, rising."""
        drawn = sorted(
            range(len(self.names)),
            key=lambda place: digest(_SIMULATION, b"lost", _whole(seed), _whole(index), _whole(place)),
        )
        return sorted(drawn[lost:])

    def with_rest(self, place: int, update: Update, packing: Packing) -> NDArray[np.float32]:
        """Return an update with what the last rounding took away."""
        values = update.vector
        if packing.bits > COARSE_BITS:
            return values
        if place in self._rest:
            values = values + self._rest[place]
        self._rest[place] = rounded_away(values, packing, update.weight)
        return values


class _Total:
    """The sum of a round's words; encoding and masking run in a pool while the next party trains."""

    def __init__(self, pool: ThreadPoolExecutor, packing: Packing, masking: Round | None) -> None:
        self._pool, self._packing, self._masking = pool, packing, masking
        self._words = np.zeros(packing.size_bytes // 8, dtype="<u8")
        self._waiting: deque[Future[None]] = deque()
        self._adding = Lock()

    def add(self, name: str, values: NDArray[np.float32], weight: int) -> None:
        """Add a party's update, as it is or under its masks."""
        if len(self._waiting) == AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._add, name, values, weight))

    def _add(self, name: str, values: NDArray[np.float32], weight: int) -> None:
        words = np.frombuffer(self._packing.encode(values, weight=weight).words, dtype="<u8")
        if self._masking is not None:
            words = words.copy()
            self._masking.put_on(name, words)
        with self._adding:
            self._packing.ring.add_into(self._words, words)

    def opened(self, counted: Sequence[str]) -> bytes:
        """Return the words of the sum, without masks."""
        while self._waiting:
            self._waiting.popleft().result()
        if self._masking is not None:
            self._masking.take_off(self._words, counted)
        return self._words.tobytes()


def _masking(names: tuple[str, ...], packing: Packing, seed: int, index: int, lost: int) -> Round:
    """Return the masked sum of a round, keys and shares exchanged between all. Raises Misuse for too many lost."""
    n = len(names)
    t = 2 * n // 3 + 1
    if n - lost < t:
        raise Misuse(f"a masked sum of {n} parties is opened by {t}, not by {n - lost}", hint="a smaller `dropped`")
    setup = Setup(
        job_hash=digest(_SIMULATION, b"job", _whole(seed)),
        round_index=index,
        attempt=0,
        roster_hash=digest(_SIMULATION, b"roster", *(name.encode() for name in names)),
        parties=names,
        threshold=t,
        colluders=min(colluders_of(n, t), n // MAY_BE_LOST),
        least=max(FEWEST, t, n - max(lost, n // MAY_BE_LOST)),
    )
    spec = Spec(
        setup=setup,
        round_digest=digest(_SIMULATION, b"round", _whole(index)),
        transcript_hash=digest(_SIMULATION, b"transcript"),
        length=packing.elements,
        ring=packing.ring.name,
        encoding=packing.digest,
        check=Check.SAMPLE,
    )
    return Round(dealt(setup, digest(_SIMULATION, b"entropy", _whole(seed))), spec)


def _whole(number: int) -> bytes:
    return number.to_bytes(8, "big")

"""One party's side of a training: its rows' moments, then updates of the model and tallies of it, packed and encoded.

An update is bounded, cut and rounded here, before it goes under the masks; with few bits, what rounding took away is
added to the next update (error feedback: Karimireddy et al., ICML 2019), and so is kept at home. Asked again for the
same round it says the same words: a short update is held until the round is closed; a long one, and any after a
restart, is trained anew from what was sealed, with the same seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clients.jurisdiction.answering import Answering
from clients.jurisdiction.bundles import Bundles
from clients.jurisdiction.engine import Engine
from clients.jurisdiction.guard import Guard
from clients.jurisdiction.questions import Questions
from clients.jurisdiction.trainer import Trainer
from federation.crypto import ring
from federation.crypto.encoding import Packing
from federation.crypto.ring import Chunk
from federation.domain.catalogue import Dataset
from federation.domain.job import digest
from federation.errors import Misuse, Refused
from federation.jobs.training import Step, Training

COARSE_BITS: Final = 16  # up to which what rounding takes away is worth a pass over the update
HELD_BYTES: Final = 1 << 24  # of words that are not made again when they are asked for again

Arrays = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Answer:
    """The vector of a round, and what this party keeps once it is counted.

    Attributes:
        words: None for a long vector.
    """

    round_index: int
    words: memoryview | None
    kept: Arrays
    lost: NDArray[np.float32] | None


class Learning(Answering):
    """The updates and tallies of one job.

    Args:
        course: what is due.
        job_hash: of the job, 32 bytes: names its sums for ever.
        own: the party's own publication of the job's data set.
        me: the party's name.
        bundles: that its operator approved.

    Raises:
        Refused: rules "trainer", "bundle" and "sandbox": this party cannot train, or not this model.
    """

    def __init__(
        self,
        course: Training,
        job_hash: bytes,
        *,
        own: Dataset,
        guard: Guard,
        engine: Engine,
        me: str,
        bundles: Bundles | None = None,
    ) -> None:
        self._course, self._job_hash, self._own, self._guard = course, job_hash, own, guard
        self._standardising = Questions(course.standardising, own=own, guard=guard, engine=engine)
        self._trainer = Trainer(engine, course.joint, own, course.plan, me, where=course.where, bundles=bundles)
        self._kept: Arrays = ()
        self._lost: NDArray[np.float32] | None = None
        self._answer: _Answer | None = None

    def ids(self) -> list[bytes]:
        if self._course.step is Step.SCALE:
            return self._standardising.ids()
        due = self._course.due
        if due is None:
            raise Misuse("the training came to its end")
        return [digest("federation/training/sum/v1", self._job_hash, due, self._own.version.encode())]

    def judge(self) -> None:
        if self._course.step is Step.SCALE:
            self._standardising.judge()

    def vector(self) -> Chunk:
        course = self._course
        if course.step is Step.SCALE:
            return self._standardising.vector()
        if course.public is None:
            raise Misuse("there is no model yet")
        if course.step is Step.EVALUATE:
            return ring.to_bytes(ring.from_ints(self._trainer.tally(course.public, self._kept, course.scaling)))
        answer = self._answer
        if answer is not None and answer.round_index == course.round_index and answer.words is not None:
            return answer.words
        return self._updated(course)

    def other_set(self) -> Refused:
        return self._guard.other_set(self._course.job)

    def closed(self) -> None:
        if self._course.step is Step.UPDATE:
            if self._answer is None or self._answer.round_index != self._course.round_index:
                self._updated(self._course)  # what is kept beside a vector is not sealed with it: after a restart
            assert self._answer is not None  # noqa: S101 - `_updated` has set it
            self._kept, self._lost, self._answer = self._answer.kept, self._answer.lost, None

    def saved(self) -> tuple[bytes | memoryview, ...]:
        arrays = (*self._kept, *(() if self._lost is None else (self._lost,)))
        if not arrays:
            return ()
        held = (array.astype("<f4", copy=False).data.cast("B") for array in arrays)
        return bytes([self._lost is not None]), *held

    def restore(self, saved: Sequence[bytes]) -> None:
        if not saved:
            return
        has_lost, *rest = saved
        arrays = [np.frombuffer(one, dtype="<f4").astype(np.float32, copy=False) for one in rest]
        self._lost = arrays.pop() if has_lost != b"\0" else None
        self._kept = tuple(arrays)

    def forget(self) -> None:
        self._standardising.forget()
        self._trainer.forget()
        self._answer = None

    def _updated(self, course: Training) -> memoryview:
        """Train, note what is kept once this is counted, and return the words."""
        assert course.public is not None  # noqa: S101 - `vector` has looked
        update = self._trainer.update(course.public, self._kept, course.round_index, course.scaling)
        packing = course.packing(len(course.contributors))
        values = update.vector if self._lost is None else update.vector + self._lost
        encoded = packing.encode(values, weight=update.weight)  # the strategy has bounded its length
        lost = rounded_away(values, packing, update.weight) if packing.bits <= COARSE_BITS else None
        words = encoded.words if len(encoded.words) <= HELD_BYTES else None
        self._answer = _Answer(round_index=course.round_index, words=words, kept=update.kept, lost=lost)
        return encoded.words


def rounded_away(values: NDArray[np.float32], packing: Packing, weight: int) -> NDArray[np.float32]:
    """Return what rounding, and nothing else, takes from `values`: entries that are cut lose that for good."""
    factor = packing.scale * (weight / packing.weight_most)
    inside = np.clip(values.astype(np.float64), -packing.clip, packing.clip)
    sent = (np.rint(inside * factor + packing.top / 2) - packing.top / 2) / factor
    return (inside - sent).astype(np.float32)

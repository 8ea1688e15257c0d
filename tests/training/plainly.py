"""A training by plain addition: no coordinator, no messages, no masks; the reference of the secure path, bit for bit.

Every party's trainer makes its updates, which are encoded as a party encodes them and added as integers; the course is
fed with the sums. `unrounded` leaves out the encoding too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.jurisdiction.engine import Engine
from clients.jurisdiction.guard import Guard
from clients.jurisdiction.questions import Questions
from clients.jurisdiction.trainer import Trainer
from federation.crypto import ring
from federation.crypto.encoding import Packing
from federation.domain.catalogue import Dataset, agreed
from federation.domain.job import Job
from federation.jobs.training import Step, Training
from federation.policy.rule import Settings
from federation.protocols.events import Release
from federation.training import evaluation
from federation.training.evaluation import Figures
from federation.training.strategy import Public, Update

Arrays = tuple[NDArray[np.float32], ...]
Counted = Callable[[int, tuple[str, ...]], Sequence[str]]  # (number of the sum, who may be counted) to who is
Sent = Callable[[str, int, Update], NDArray[np.float32]]  # (party, round, what it made) to what it encodes


def everybody(_index: int, parties: tuple[str, ...]) -> Sequence[str]:
    return parties


@dataclass
class Plain:
    """The parties of one job.

    Attributes:
        own: party -> (what it publishes, its rows).
        kept: what each party keeps to itself.
        weights: of each party, as it weighed last.
        sums: of each update, its lanes added as Python integers, to hold against the words.
    """

    job: Job
    own: Mapping[str, tuple[Dataset, Engine]]
    sends: Sent = lambda _party, _round, update: update.vector
    kept: dict[str, Arrays] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    sums: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.joint = agreed({party: self.own[party][0] for party in self.job.parties})
        self.course = Training(self.job, self.joint)
        course = self.course
        self.trainers = {
            party: Trainer(engine, self.joint, own, course.plan, party, where=course.where)
            for party, (own, engine) in self.own.items()
        }
        self.kept = dict.fromkeys(self.own, ())

    def run(self, counted: Counted = everybody) -> Training:
        """Return the course at its end."""
        index = 0
        while self.course.due is not None:
            self.course.feed(self.total(tuple(counted(index, self.course.contributors))))
            index += 1
        return self.course

    def total(self, counted: tuple[str, ...]) -> Release:
        """Return what is opened over these parties; who was counted keeps what it wants to keep."""
        course = self.course
        match course.step:
            case Step.SCALE:
                vectors = [self._answer(party) for party in counted]
                return Release.of(_added(vectors), counted)
            case Step.UPDATE:
                return Release.of(self._updates(counted), counted)
            case _:
                tallies = [self.tally(party, course.public) for party in counted]
                total = [sum(column) for column in zip(*tallies, strict=True)]
                return Release.of(ring.to_bytes(ring.from_ints(total)), counted)

    def update(self, party: str, public: Public, round_index: int) -> Update:
        """Return one party's update."""
        return self.trainers[party].update(public, self.kept[party], round_index, self.course.scaling)

    def tally(self, party: str, public: Public | None) -> tuple[int, ...]:
        """Return one party's tally."""
        assert public is not None
        return self.trainers[party].tally(public, self.kept[party], self.course.scaling)

    def _answer(self, party: str) -> bytes:
        own, engine = self.own[party]
        guard = Guard(party, Settings(), {own.name: own})
        return Questions(self.course.standardising, own=own, guard=guard, engine=engine).vector()

    def _updates(self, counted: tuple[str, ...]) -> bytes:
        course = self.course
        assert course.public is not None
        packing = course.packing(len(course.contributors))
        words = np.zeros(packing.size_bytes // 8, dtype="<u8")
        numbers = [0] * packing.length
        for party in counted:
            made = self.update(party, course.public, course.round_index)
            vector = self.sends(party, course.round_index, made)
            packing.ring.add_into(words, np.frombuffer(packing.encode(vector, weight=made.weight).words, "<u8"))
            numbers = [a + b for a, b in zip(numbers, rounded(packing, vector, made.weight), strict=True)]
            self.kept[party], self.weights[party] = made.kept, made.weight
        self.sums.append(numbers)
        return words.tobytes()


def rounded(packing: Packing, vector: NDArray[np.float32], weight: int) -> list[int]:
    """Return a vector's numbers one by one, by the words of the encoding's docstring and Python's own arithmetic."""
    factor = packing.scale * (weight / packing.weight_most)
    return [round(min(max(float(x), -packing.clip), packing.clip) * factor + packing.top / 2) for x in vector]


def unrounded(plain: Plain) -> tuple[Public, list[Figures]]:
    """Return (what everybody knows, figures by round) of a training whose updates are cut and never rounded."""
    course = plain.course
    while course.step is Step.SCALE:
        course.feed(plain.total(course.contributors))
    chosen, public, found = course.chosen, course.public, []
    assert public is not None
    for index in range(chosen.parameters.rounds):
        total: Any = 0.0
        weights = 0
        for party in course.contributors:
            made = plain.update(party, public, index)
            clip = chosen.parameters.clip
            total = total + made.weight * np.clip(made.vector, -clip, clip).astype(np.float64)
            weights += made.weight
            plain.kept[party] = made.kept
        public = chosen.strategy.merge(chosen.parameters, chosen.layout, public, total / weights, index)
        tallies = [plain.tally(party, public) for party in course.contributors]
        found.append(evaluation.figures([sum(column) for column in zip(*tallies, strict=True)], chosen.inputs))
    return public, found


def _added(vectors: Sequence[bytes]) -> bytes:
    numbers = [ring.to_ints(ring.from_bytes(vector)) for vector in vectors]
    return ring.to_bytes(ring.from_ints([sum(column) for column in zip(*numbers, strict=True)]))

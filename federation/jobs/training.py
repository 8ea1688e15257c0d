"""The course of a job that trains a model: standardise, then updates and evaluations in turn, each one secure sum.

Every member merges by itself from what was opened and so knows the model; what is due after an update names the hash of
that model wherever it is evaluated, so members whose arithmetic differs find masks that do not cancel, and no figure.
Nothing here trains: parties add updates, `Training` says what is due and what follows. `Followed` is the same course
for a researcher, who is told digests instead of updates and fetches the model once.

Refused: a joint key (updates are too long for it), evaluations of nobody's rows, a model that is not finite any more,
a mean of updates beyond the cut. Not hidden by a sum: an entry that one party alone moves, such as the embedding of a
level that only it has rows of, is that party's own movement.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from federation.analytics.plan import Failure, together
from federation.analytics.replay import Replay
from federation.crypto.encoding import BadTotal, Decoded, Packing
from federation.domain.catalogue import Dataset
from federation.domain.job import Computation, Job, digest
from federation.errors import JobFailed, Misuse, ProtocolViolation, Refused
from federation.jobs import standardising
from federation.jobs.course import Course, Saved
from federation.jobs.questions import Questions
from federation.jobs.standardising import Standard
from federation.protocols.events import Release
from federation.protocols.setup import Check, Setup, Spec
from federation.query import predicate
from federation.training import checkpoint, evaluation
from federation.training import plan as planned
from federation.training.evaluation import Figures
from federation.training.merging import is_finite
from federation.training.plan import Scaling, TrainingPlan
from federation.training.strategy import Public

NAME: Final = "train"  # of the computation
VERSION: Final = 3  # one more for every change of a bit of what is summed or merged
ALL_BYTES: Final = 1 << 20  # vectors of all parties together up to which everybody adds up everybody's
LABEL: Final = "federation/training/v1"
_SOMEBODY: Final = "one of the parties"
_RECORD = struct.Struct(
    ">32sQQ"
)  # digest of the total, entries that were cut, sum of weights; the model's hash follows


class Step(StrEnum):
    """What is due."""

    SCALE = "scale"
    UPDATE = "update"
    EVALUATE = "evaluate"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One round as everybody knows it.

    Attributes:
        round_index: counted from 0.
        parties: who was counted in the update.
        weight: sum of their weights: training rows, or parties where all weigh alike.
        clipped: share of the entries that were cut to the bound, from 0 to 1.
        figures: of the model after the round; None where it was not evaluated.
    """

    round_index: int
    parties: tuple[str, ...]
    weight: int
    clipped: float
    figures: Figures | None = None


def is_training(job: Job) -> bool:
    """Return whether a job trains. Raises Misuse for one that asks something else besides."""
    names = [computation.name for computation in job.computations]
    if NAME in names and len(names) > 1:
        raise Misuse("a job trains one model or asks statistics, not both", hint="hand in two jobs")
    return NAME in names


def computation(plan: TrainingPlan) -> Computation:
    """Return what a job carries of a plan."""
    return Computation(name=NAME, version=VERSION, parameters=plan.parameters)


def plan_of(job: Job, joint: Dataset) -> TrainingPlan:
    """Return the plan of a job that trains.

    Raises:
        Refused: rule "version".
        Misuse: parameters without a meaning over `joint`, or a job under a joint key.
    """
    (asked,) = job.computations
    if asked.version != VERSION:
        raise Refused(
            f"training is here in version {VERSION}, not {asked.version}",
            rule="version",
            hint="all members of a federation run the same version of the software",
        )
    if job.key:
        raise Misuse("a model is not trained under a joint key: its updates are too long", hint='protection="masks"')
    return TrainingPlan.of(asked.parameters, joint)


def most_sums(plan: TrainingPlan, joint: Dataset) -> int:
    """Return the most secure sums of a training: standardising, updates, evaluations."""
    rounds: int = planned.chosen(plan, joint).parameters.rounds
    return _scalings(joint) + rounds + (-(-rounds // plan.evaluate_every) if _evaluates(plan) else 0)


class Training(Course):
    """The sums of one training.

    Args:
        job: the verified job.
        joint: what all parties' publications agree on.

    Attributes:
        plan: what is trained, and how.
        chosen: the members of the registries that the plan names.
        step: what is due.
        round_index: of the update that is due, or was merged last.
        standard: from when the scaling is open on.
        public: from then on, what everybody knows.
        history: the rounds so far.
        best: round and model of the best evaluation; without one, of the last round.
        alone: whether nobody is ever asked for a model of it, as at a party: each is written over the one before, and
            of the best one only the round is known.
    """

    def __init__(self, job: Job, joint: Dataset) -> None:
        self.job, self.joint = job, joint
        self.plan = plan_of(job, joint)
        self.chosen = planned.chosen(self.plan, joint)
        self.where = predicate.parse(job.where, joint) if job.where else None
        self.step, self.round_index = Step.SCALE, 0
        self.standard: Standard | None = None
        self.public: Public | None = None
        self.history: list[Progress] = []
        self.best: tuple[int, NDArray[np.float32]] | None = None
        self.hash = b""  # of the model, where it was asked for
        self.alone = False
        self._seed = digest(f"{LABEL}/seed", self.plan.seed.to_bytes(8, "big"))
        self._stale = 0  # evaluations since the best one
        self._told: list[tuple[Progress, str]] = []  # the history as it rests: each round is written once
        asked = together([standardising.asked(self.plan, self.where, joint)])
        self.standardising = Questions(
            job, joint, Replay(asked, joint, parties=job.parties, max_rounds=_scalings(joint))
        )
        self._contributors, self._transcript = job.parties, self.standardising.transcript
        self.packing(len(job.parties), 1)  # bits that do not fit are refused before anybody is asked

    # --- the contract of a course -----------------------------------------------------------------------------------

    @property
    def due(self) -> bytes | None:
        match self.step:
            case Step.SCALE:
                return self.standardising.due
            case Step.UPDATE:
                return digest(f"{LABEL}/update", self.round_index.to_bytes(8, "big"))
            case Step.EVALUATE:
                return digest(f"{LABEL}/evaluate", self.round_index.to_bytes(8, "big"), self.hash)
            case Step.END:
                return None

    @property
    def contributors(self) -> tuple[str, ...]:
        return self._contributors

    @property
    def transcript(self) -> bytes:
        return self._transcript

    def strict(self, index: int) -> bool:
        """Only within standardising: what support closed is not opened by fewer; a training goes on with the rest."""
        return 0 < index < _scalings(self.joint)

    def spec(self, setup: Setup) -> Spec:
        match self.step:
            case Step.SCALE:
                return self.standardising.spec(setup)
            case Step.UPDATE:
                packing = self.packing(len(setup.parties))
                bytes_of_all = packing.size_bytes * len(setup.parties)
                return Spec(
                    setup=setup,
                    round_digest=self.due or b"",
                    transcript_hash=self.transcript,
                    length=packing.elements,
                    ring=packing.ring.name,
                    encoding=packing.digest,
                    check=Check.ALL if bytes_of_all <= ALL_BYTES else Check.SAMPLE,
                )
            case _:
                return Spec(
                    setup=setup,
                    round_digest=self.due or b"",
                    transcript_hash=self.transcript,
                    length=evaluation.length(self.chosen.inputs),
                )

    def feed(self, release: Release) -> Release:
        counted = release.parties
        known = tuple(party for party in self._contributors if party in counted)
        if counted != known or not counted:
            raise self._violation("contributors of before", "another set")
        match self.step:
            case Step.SCALE:
                return self._scaled(release)
            case Step.UPDATE:
                return self._updated(release)
            case Step.EVALUATE:
                return self._evaluated(release)
        raise Misuse("the training came to its end and takes no more numbers")

    # --- what a party needs -----------------------------------------------------------------------------------------

    @property
    def scaling(self) -> Scaling:
        """How numbers are standardised. Raises Misuse before it is open."""
        if self.standard is None:
            raise Misuse("the joint means and deviations are not open yet")
        return self.standard.scaling

    def packing(self, parties: int, weight_most: int = 0) -> Packing:
        """Return how an update of one of so many parties becomes words; weights up to all rows, where rows weigh."""
        options = self.chosen.parameters
        if not weight_most:
            weight_most = self.standard.rows if self.standard is not None and options.weighted else 1
        return Packing.standard(
            self.chosen.strategy.length(options, self.chosen.layout),
            parties,
            options.bits,
            clip=options.clip,
            weight_most=weight_most,
        )

    # --- the steps --------------------------------------------------------------------------------------------------

    def _scaled(self, release: Release) -> Release:
        asked = self.standardising
        asked.feed(release)
        self._contributors, self._transcript = asked.contributors, asked.transcript
        if asked.due is not None:
            return release
        (outcome,) = asked.replay.results
        if isinstance(outcome, Failure):
            raise JobFailed(f"training cannot begin: {outcome.message}", hint=outcome.hint)
        self.standard = outcome.result
        layout = self.chosen.layout
        self._transcript = digest(LABEL, self._transcript, layout.digest)
        self._begin(layout.initial(self._seed))
        self.step = Step.UPDATE
        return release

    def _begin(self, model: NDArray[np.float32]) -> None:
        self.public = self.chosen.strategy.begun(self.chosen.parameters, self.chosen.layout, model)

    def _updated(self, release: Release) -> Release:
        total, clipped, weight, hashed = self._merged(release)
        entries = len(release.parties) * self.chosen.strategy.length(self.chosen.parameters, self.chosen.layout)
        record = _RECORD.pack(total, clipped, weight) + hashed
        self._note(release.parties, record)
        self.hash = hashed
        self.history.append(
            Progress(round_index=self.round_index, parties=release.parties, weight=weight, clipped=clipped / entries)
        )
        if self._is_evaluated(self.round_index):
            self.step = Step.EVALUATE
        else:
            self._go_on()
        return Release.of(record, release.parties)

    def _merged(self, release: Release) -> tuple[bytes, int, int, bytes]:
        """Merge what was opened; return (digest of the total, entries cut, weights, hash of the model or b"")."""
        assert self.public is not None  # noqa: S101 - set with the step
        packing = self.packing(len(self._contributors))
        try:
            decoded = packing.decode(release.chunks, len(release.parties))
        except BadTotal as fault:
            raise self._violation("a sum of encoded updates", str(fault)) from None
        if not _is_a_mean(decoded, packing, len(release.parties)):
            raise self._violation("a sum of encoded updates", "a mean beyond the cut, or more weight than rows")
        # The best model is somebody's, all others are only looked at between two merges.
        mine = self.alone or self.best is None or self.best[1] is not self.public.model
        public = self.public.give() if mine else self.public
        if mine:
            self.public = None  # what a merge left half done is no model
        self.public = self.chosen.strategy.merge(
            self.chosen.parameters, self.chosen.layout, public, decoded.mean, self.round_index
        )
        hashed = checkpoint.digest(self.public.model) if self._is_hashed(self.round_index) else b""
        if hashed and not is_finite(self.public.model):
            raise JobFailed("the model is not finite any more", hint="lower lr, or bound updates with norm")
        return release.digest, decoded.clipped, decoded.weight, hashed

    def _evaluated(self, release: Release) -> Release:
        try:
            numbers = release.numbers
            if not any(numbers):
                raise JobFailed("no party has rows to evaluate", hint="a greater holdout, or a split with such rows")
            figures = evaluation.figures(numbers, self.chosen.inputs)
            if not 0 <= numbers[1] <= evaluation.largest(numbers[0]):
                raise Misuse("losses of a tally that no rows have")
        except Misuse as fault:
            raise self._violation("a sum of tallies", fault.message) from None
        self._note(release.parties, release.digest)
        self.history[-1] = replace(self.history[-1], figures=figures)
        if self._is_better(figures):
            self._stale = 0
            self._keep_best()
        else:
            self._stale += 1
        self._go_on()
        return release

    def _keep_best(self) -> None:
        model = np.empty(0, np.float32) if self.public is None or self.alone else self.public.model
        self.best = self.round_index, model

    def _go_on(self) -> None:
        """Take up the next round, or come to the end."""
        last = self.round_index + 1 == self.chosen.parameters.rounds
        if not last and not (self.plan.patience and self._stale >= self.plan.patience):
            self.step, self.round_index = Step.UPDATE, self.round_index + 1
            return
        if self.best is None:
            self._keep_best()
        self.step = Step.END
        self._transcript = digest(f"{LABEL}/end", self._transcript, self.hash)

    def _note(self, parties: Sequence[str], record: bytes) -> None:
        self._contributors = tuple(parties)
        counted = digest("federation/contributors/v1", *(party.encode() for party in parties))
        self._transcript = digest(LABEL, self._transcript, self.due or b"", counted, record)

    def _is_evaluated(self, index: int) -> bool:
        last = index + 1 == self.chosen.parameters.rounds
        return _evaluates(self.plan) and (last or (index + 1) % self.plan.evaluate_every == 0)

    def _is_hashed(self, index: int) -> bool:
        return self._is_evaluated(index) or index + 1 == self.chosen.parameters.rounds

    def _is_better(self, figures: Figures) -> bool:
        measured = [one.figures for one in self.history[:-1] if one.figures is not None]
        return not measured or max(map(self._merit, measured)) < self._merit(figures)

    def _merit(self, figures: Figures) -> float:
        match self.plan.best:
            case "accuracy":
                return figures.accuracy or 0.0
            case "auc":
                return figures.auc or 0.0
        return -figures.loss

    def _violation(self, expected: str, got: str) -> ProtocolViolation:
        return ProtocolViolation(_SOMEBODY, phase=f"{self.step} {self.round_index}", expected=expected, got=got)

    def file(self, *, best: bool) -> bytes:
        """Return the last model, or the best one, as a safetensors file. Raises Misuse where there is none."""
        found = self.best if best else None
        if found is None and self.public is not None:
            found = self.round_index, self.public.model
        if found is None:
            raise Misuse("there is no model yet")
        about = {"job": self.job.name, "model": self.plan.model, "round": str(found[0] + 1)}
        return checkpoint.to_bytes(self.chosen.layout, found[1], about)

    # --- resting ----------------------------------------------------------------------------------------------------

    def saved(self) -> Saved | None:
        if self.standard is None or self.public is None:
            return None
        best = [] if self.best is None or self.best[1] is self.public.model or self.alone else [self.best[1]]
        arrays = [self.public.model, *self.public.more, *best]
        about = {
            "step": self.step,
            "round": self.round_index,
            "stale": self._stale,
            "contributors": self._contributors,
            "transcript": self._transcript.hex(),
            "hash": self.hash.hex(),
            "scaling": asdict(self.standard.scaling),
            "rows": self.standard.rows,
            "history": self._written(),
            "best": None if self.best is None else self.best[0],
            "more": len(self.public.more),
        }
        return json.dumps(about).encode(), *(array.astype("<f4", copy=False).data.cast("B") for array in arrays)

    def _written(self) -> list[str]:
        for index, one in enumerate(self.history):
            if index >= len(self._told) or self._told[index][0] is not one:  # its figures came later
                self._told[index:] = [(one, json.dumps(asdict(one)))]
        return [text for _, text in self._told]

    def restore(self, saved: Sequence[bytes]) -> None:
        try:
            self._take_up(saved)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # none of it is told
            raise Misuse("this is not what this training saved", hint="was it saved by another version?") from None

    def _take_up(self, saved: Sequence[bytes]) -> None:
        text, *rest = saved
        about = json.loads(text)
        arrays = [np.frombuffer(one, dtype="<f4").astype(np.float32, copy=False) for one in rest]
        expected = 1 + about["more"] + (about["best"] is not None)
        if not expected - 1 <= len(arrays) <= expected or arrays[0].size != self.chosen.layout.size:
            raise ValueError
        scaling = {name: tuple(values) for name, values in about["scaling"].items()}
        self.standard = Standard(scaling=Scaling(**scaling), rows=about["rows"])
        self.step, self.round_index, self._stale = Step(about["step"]), about["round"], about["stale"]
        self._contributors, self._transcript = tuple(about["contributors"]), bytes.fromhex(about["transcript"])
        self.hash = bytes.fromhex(about["hash"])
        self.history = [_progress_of(json.loads(one)) for one in about["history"]]
        self.public = Public(model=arrays[0], more=tuple(arrays[1 : 1 + about["more"]]))
        if about["best"] is not None:
            held = arrays[-1] if len(arrays) > 1 + about["more"] else self.public.model
            self.best = about["best"], np.empty(0, np.float32) if self.alone else held


class Followed(Training):
    """A training as its researcher follows it: fed with what `Training.feed` returned, it ends with the same words.

    Attributes:
        hashes: of the model after each round that was evaluated, and after the last.
    """

    def __init__(self, job: Job, joint: Dataset) -> None:
        super().__init__(job, joint)
        self.hashes: dict[int, bytes] = {}

    def _begin(self, model: NDArray[np.float32]) -> None:
        """Keep no model: it is fetched at the end."""

    def _merged(self, release: Release) -> tuple[bytes, int, int, bytes]:
        record = release.total
        hashed = record[_RECORD.size :]
        if len(record) != _RECORD.size + (32 if self._is_hashed(self.round_index) else 0):
            raise self._violation("the digest of an update", "other bytes")
        total, clipped, weight = _RECORD.unpack(record[: _RECORD.size])
        if hashed:
            self.hashes[self.round_index] = hashed
        return total, clipped, weight, hashed


def _scalings(joint: Dataset) -> int:
    return 1 if joint.own_figures else 2


def _is_a_mean(decoded: Decoded, packing: Packing, parties: int) -> bool:
    """Return whether honest parties can add up to that: the lanes alone leave a liar room for all parties' numbers."""
    rounding = 0.5 * parties / (packing.scale * (decoded.weight / decoded.weight_most))
    most = packing.clip * (1 + 2**-20) + rounding
    weighs = parties <= decoded.weight <= max(parties, decoded.weight_most)
    return weighs and -most <= decoded.low and decoded.high <= most


def _evaluates(plan: TrainingPlan) -> bool:
    return bool(plan.split or plan.holdout)


def _progress_of(values: dict[str, object]) -> Progress:
    figures = values["figures"]
    found = {**values, "parties": tuple(values["parties"])}  # type: ignore[arg-type]
    if isinstance(figures, dict):
        found["figures"] = Figures(**{**figures, "recall": tuple(figures["recall"])})
    return Progress(**found)  # type: ignore[arg-type]

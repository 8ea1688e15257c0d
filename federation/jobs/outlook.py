"""What a training would open after its scaling, told before anybody is asked and without any data.

The scaling is a query like a statistic's, and is previewed as one. What follows it, sums of updates and of tallies, has
a form that only the plan decides: how many numbers, in how many bits, how often, and how each is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

from federation.crypto import ring
from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.jobs.training import ALL_BYTES, Training
from federation.query.round import Round
from federation.training import evaluation
from federation.training import plan as planned


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One training before its first round.

    Attributes:
        model, strategy: as the job names them.
        personal: whether each party keeps a model of its own.
        task: what is predicted, see `federation.training.inputs.Task`.
        categories: features that are categories: a level that one party alone has moves entries that are its own.
        scaled: columns whose joint mean and deviation open first; () where the catalogue gives the scaling.
        parameters: of the model.
        numbers: entries of the weighted mean of updates that a round opens, beside two more words: the sum of the
            weights, and how many entries were cut.
        bits: of an entry.
        clip: each entry is cut to [-clip, clip].
        norm: L2 bound of an update, 0 for none; applied by each party to its own.
        weighted: whether a party weighs as many as its training rows.
        rounds: most sums of updates.
        evaluations: most sums of tallies, 0 where nothing is held out.
        tally: numbers of a tally.
        update_bytes: of a party's masked update on its way, without keys.
        tally_bytes: of its masked tally.
        added_up_by_all: whether every party adds up all updates whole; else it checks samples of them.
        holdout: share of the rows that is held out, 0 where `split` decides.
        split: column that says which rows are learned from, "" for none.
    """

    model: str
    strategy: str
    personal: bool
    task: str
    categories: tuple[str, ...]
    scaled: tuple[str, ...]
    parameters: int
    numbers: int
    bits: int
    clip: float
    norm: float
    weighted: bool
    rounds: int
    evaluations: int
    tally: int
    update_bytes: int
    tally_bytes: int
    added_up_by_all: bool
    holdout: float
    split: str


def begun(job: Job, joint: Dataset) -> tuple[Round | None, Outlook]:
    """Return the first round of a training, and what comes after it. Raises as a training's course."""
    course = Training(job, joint)
    plan, chosen, parties = course.plan, course.chosen, len(job.parties)
    options = chosen.parameters
    update_bytes = course.packing(parties, 1).size_bytes
    tally = evaluation.length(chosen.inputs)
    evaluates = bool(plan.split or plan.holdout)
    outlook = Outlook(
        model=plan.model,
        strategy=plan.strategy,
        personal=chosen.strategy.personal,
        task=chosen.inputs.task.value,
        categories=tuple(column.name for column in planned.categories(plan, joint)),
        scaled=tuple(column.name for column in planned.scaled(plan, joint)) if plan.scale == "standard" else (),
        parameters=chosen.layout.size,
        numbers=chosen.strategy.length(options, chosen.layout),
        bits=options.bits,
        clip=options.clip,
        norm=options.norm,
        weighted=options.weighted,
        rounds=options.rounds,
        evaluations=-(-options.rounds // plan.evaluate_every) if evaluates else 0,
        tally=tally,
        update_bytes=update_bytes,
        tally_bytes=tally * ring.Z128.element_bytes,
        added_up_by_all=update_bytes * parties <= ALL_BYTES,
        holdout=0.0 if plan.split else plan.holdout,
        split=plan.split,
    )
    return course.standardising.replay.round, outlook

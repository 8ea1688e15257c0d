"""What rules are given to judge a job by: the same at a jurisdiction and at a researcher who looks beforehand.

A rule knows no model and no strategy. What a training's names and defaults come to is looked up here and handed over as
plain figures. Refused: a training without a meaning over the joint data set, which nobody could judge.
"""

from __future__ import annotations

from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.jobs import training
from federation.policy.rule import Request, Training
from federation.training import plan as planned


def request(job: Job, own: Dataset, joint: Dataset, me: str, job_hash: bytes = b"") -> Request:
    """Return what `me` judges; arguments as `Request` has them.

    Raises:
        Misuse, Refused: as `federation.jobs.training.plan_of`, of a job that trains.
    """
    terms = trained(job, joint) if training.is_training(job) else None
    return Request(job=job, own=own, joint=joint, me=me, job_hash=job_hash, training=terms)


def trained(job: Job, joint: Dataset) -> Training:
    """Return what rules know of a job that trains. Raises as `request`."""
    plan = training.plan_of(job, joint)
    chosen = planned.chosen(plan, joint)
    return Training(
        model=plan.model,
        strategy=plan.strategy,
        rounds=chosen.parameters.rounds,
        parameters=chosen.layout.size,
        numbers=chosen.strategy.length(chosen.parameters, chosen.layout),
        bits=chosen.parameters.bits,
        norm=chosen.parameters.norm,
    )

"""What a researcher believes of a training: a model whose hash stands in what the parties signed, and nothing else.

As `verified` for statistics: a course is replayed on what was opened, and a file is held against it. Another file is
the coordinator's doing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clients.researcher.receipt import Receipt
from federation.domain.catalogue import Dataset
from federation.domain.job import Job, Released
from federation.errors import FederationError, Misuse, ProtocolViolation
from federation.jobs import planner
from federation.jobs.training import Followed
from federation.training import checkpoint


def followed(job: Job, joint: Dataset) -> Followed:
    """Return a training's course at its beginning, as its researcher follows it. Raises Misuse for another job."""
    course = planner.followed(job, joint)
    if not isinstance(course, Followed):
        raise Misuse(f"job {job.name} asks statistics and trains nothing", hint="federation result reads them")
    return course


def checked(data: bytes, course: Followed, index: int, *, coordinator: str) -> NDArray[np.float32]:
    """Return the model in a file, held against the hash of round `index` that the parties signed.

    Args:
        course: at its end.

    Raises:
        ProtocolViolation: naming the coordinator, who gave out another file.
    """
    try:
        model = checkpoint.of(data, course.chosen.layout)
    except FederationError:
        model = np.empty(0, np.float32)
    if not model.size or checkpoint.digest(model) != course.hashes.get(index):
        raise ProtocolViolation(
            coordinator,
            phase="model",
            expected=f"the model of round {index + 1} that all parties signed",
            got="another file",
            hint="ask again; if it stays so, keep the job's name and tell the jurisdictions",
        )
    return model


def receipt_of(job: Job, job_hash: bytes, released: Released, course: Followed) -> Receipt:
    """Return the receipt of a training that was replayed to its end; its figures are the hash of the best model."""
    return Receipt.of(
        job,
        job_hash,
        counted=released.contributors[-1],
        transcript=released.transcript,
        signed_by=released.attested_by,
        rounds=len(released.totals),
        trust="",
        figures=course.hashes[course.round_index if course.best is None else course.best[0]],
    )

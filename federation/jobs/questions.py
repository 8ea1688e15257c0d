"""The course of a job that asks statistics: its plans are replayed, every sum opens numbers that the plans ask for."""

from __future__ import annotations

from federation.analytics.replay import Replay
from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.errors import Misuse
from federation.jobs import sums
from federation.jobs.course import Course
from federation.protocols.events import Release
from federation.protocols.setup import Setup, Spec
from federation.query.round import Round, round_digest


class Questions(Course):
    """The statistics of one job.

    Args:
        joint: what all parties' publications agree on.
        replay: the plans, from `planner.replay`.
    """

    def __init__(self, job: Job, joint: Dataset, replay: Replay) -> None:
        self.job, self.joint, self.replay = job, joint, replay

    @property
    def round(self) -> Round:
        """The round that is due. Raises Misuse at the end."""
        if self.replay.round is None:
            raise Misuse("the plans came to their end and ask nothing more")
        return self.replay.round

    @property
    def due(self) -> bytes | None:
        return None if self.replay.round is None else round_digest(self.replay.round)

    @property
    def contributors(self) -> tuple[str, ...]:
        return self.replay.contributors

    @property
    def transcript(self) -> bytes:
        return self.replay.transcript

    def strict(self, index: int) -> bool:
        """A plan that steers by one set of parties and reads another would be wrong without saying so."""
        return index > 0

    def spec(self, setup: Setup) -> Spec:
        return sums.spec(setup, self.round, self.joint, self.transcript)

    def feed(self, release: Release) -> Release:
        self.replay.feed(release.numbers, release.parties)
        return release

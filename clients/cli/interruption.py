"""The demo's power cut: one daemon gets SIGKILL in the middle of a secure sum and is started again; the job goes on.

The moment is held, not hoped for. A sum of three waits for whoever has not answered, so a daemon that stands still
(SIGSTOP) holds it: first the bystander, until the victim's keys are out; then the victim, until the bystander has dealt
its shares; then the bystander again, until the victim's masked numbers are out. There the victim is killed: it has
answered, nothing is opened, and nothing can be without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum, auto
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from federation.domain.job import Update
from federation.errors import JobFailed
from federation.wire import convert
from federation.wire.log import frames_in

if TYPE_CHECKING:
    from clients.cli.stage import Stage

KEYS: Final = "sent advert 0"
SHARES: Final = "sent shares 0"
MASKED: Final = ("sent head 0", "sent advert 1")  # keys for a next round go with the numbers
BACK: Final = ("sent consent", "sent unmask", "attested")  # what cannot have been said before the kill


class Moment(Enum):
    """What is waited for."""

    JOB = auto()
    KEYS = auto()
    SHARES = auto()
    MASKED = auto()
    BACK = auto()
    OPENED = auto()
    OVER = auto()


class Interruption:
    """Interrupts one job of a session: a context manager whose `show` is the session's `on_update`.

    Args:
        stage: has started both; the victim writes a wire log there.
        victim: the party that is killed.
        bystander: another party of the job, which only stands still for a moment.
        after: so many jobs are left alone before.
        told: called with a line for people.

    Attributes:
        pid: of the process that was killed.
        away_s: from the kill until the coordinator heard what only a restarted daemon can have said.
        messages: that the victim had sent before, and sent again byte for byte.
    """

    def __init__(
        self, stage: Stage, *, victim: str, bystander: str, after: int, told: Callable[[str], None] = lambda _: None
    ) -> None:
        self.victim, self.bystander = victim, bystander
        self.pid, self.away_s, self.messages = 0, 0.0, 0
        self._stage, self._after, self._told = stage, after, told
        self._moment = Moment.JOB
        self._sent: list[bytes] = []
        self._killed_s = 0.0

    def __enter__(self) -> Self:
        self._await_job()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in (self.victim, self.bystander):
            if name in self._stage.processes:
                self._stage.thaw(name)
        if kind is None and self._moment is not Moment.OVER:
            raise JobFailed(f"{self.victim} was to be killed in the middle of a job, and was not")

    def show(self, update: Update) -> None:
        """Take one line of a job's life, and do what is due."""
        steps = {each.party: each.step for each in update.parties}
        victim, bystander = steps.get(self.victim, ""), steps.get(self.bystander, "")
        match self._moment:
            case Moment.JOB if update.state.ended:
                self._after -= 1
                self._await_job()
            case Moment.KEYS if victim == KEYS:
                self._stage.freeze(self.victim)
                self._stage.thaw(self.bystander)
                self._moment = Moment.SHARES
            case Moment.SHARES if bystander == SHARES:
                self._stage.freeze(self.bystander)
                self._stage.thaw(self.victim)
                self._moment = Moment.MASKED
            case Moment.MASKED if victim in MASKED:
                self._kill(update.job_hash)
            case Moment.BACK if victim.startswith(BACK):
                self.away_s = time.monotonic() - self._killed_s
                self._moment = Moment.OPENED
            case _:
                pass
        if self._moment is Moment.OPENED and update.state.ended:
            self._compare(update.job_hash)

    def sentence(self) -> str:
        """Return what happened, for those who read only the result."""
        return (
            f"{self.victim}'s daemon was killed (SIGKILL) in the middle of the joint sum and started again: it sent "
            f"the same {self.messages} messages, byte for byte, and {self.away_s:.1f} s later the sum went on to these "
            "figures."
        )

    def _await_job(self) -> None:
        if self._after == 0:
            self._stage.freeze(self.bystander)
            self._moment = Moment.KEYS

    def _kill(self, job_hash: bytes) -> None:
        self._sent = self._sent_in(job_hash)
        self._killed_s = time.monotonic()
        self.pid = self._stage.kill(self.victim)
        self._stage.thaw(self.bystander)
        self._told(
            f"{self.victim}'s daemon is killed (kill -9 {self.pid}): its masked numbers are out, nothing is opened"
        )
        self._stage.launch(self.victim)
        self._moment = Moment.BACK

    def _compare(self, job_hash: bytes) -> None:
        """Hold what was sent again against what was sent before, as the victim's wire log has both."""
        self.messages = len(self._sent)
        if self._sent_in(job_hash)[self.messages : 2 * self.messages] != self._sent:
            raise JobFailed(f"{self.victim} sent other bytes after it was started again")
        self._moment = Moment.OVER
        self._told(
            f"{self.victim} starts again and sends the same {self.messages} messages, byte for byte; the sum waited "
            f"{self.away_s:.1f} s for it and went on"
        )

    def _sent_in(self, job_hash: bytes) -> list[bytes]:
        frames = frames_in(self._stage.wire_log(self.victim))
        return [convert.frame_bytes(f) for _, way, _, f in frames if way == "out" and f.job_hash == job_hash]

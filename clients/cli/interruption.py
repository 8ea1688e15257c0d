"""The demo's power cut: one daemon gets SIGKILL in the middle of a secure sum and is started again; the job goes on.

The moment is held, not hoped for. A sum of three waits for whoever has not answered, so a daemon that stands still
(SIGSTOP) holds it: first the bystander, until the victim's keys are out; then the victim, until the bystander has dealt
its shares; then the bystander again, until the victim's masked numbers are out. There the victim is killed: it has
answered, nothing is opened, and nothing can be without it. Under a joint key the bystander is held with its ciphertexts
out and its part in the opening not, until the victim's ciphertexts are out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from federation.domain.job import Update
from federation.errors import JobFailed
from federation.wire import convert
from federation.wire.log import frames_in

if TYPE_CHECKING:
    from clients.cli.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The steps of a sum that matter here, as the coordinator tells them.

    Attributes:
        keys: the victim's, when the bystander may go on.
        shares: the bystander's, when it stands still again.
        numbers: the victim's, when it is killed; what it says for the next round may follow at once.
        back: what the victim cannot have said before the kill.
        out: what is out then, in words.
        ordered: whether a restart says everything in the order of before; what went ahead for a next round may not.
    """

    keys: str
    shares: str
    numbers: tuple[str, ...]
    back: tuple[str, ...]
    out: str
    ordered: bool


MASKED: Final = Course(
    keys="sent advert 0",
    shares="sent shares 0",
    numbers=("sent head 0", "sent advert 1"),
    back=("sent consent", "sent unmask", "attested"),
    out="its masked numbers are out",
    ordered=True,
)
KEYED: Final = Course(
    keys="sent ready 0",
    shares="sent cipher 0",
    numbers=("sent cipher 0", "sent ready 1", "sent partial 0"),  # its own part alone opens nothing
    back=("sent cipher 1", "sent partial 1", "attested"),  # only after a total that needs the bystander
    out="its encrypted numbers are out",
    ordered=False,
)


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
        course: of the sums that are run.
        told: called with a line for people.

    Attributes:
        pid: of the process that was killed.
        away_s: from the kill until the coordinator heard what only a restarted daemon can have said.
        messages: that the victim had sent before, and sent again byte for byte.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        victim: str,
        bystander: str,
        after: int,
        told: Callable[[str], None] = lambda _: None,
        course: Course = MASKED,
    ) -> None:
        self.victim, self.bystander = victim, bystander
        self.pid, self.away_s, self.messages = 0, 0.0, 0
        self._stage, self._after, self._told, self._course = stage, after, told, course
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
            case Moment.KEYS if victim == self._course.keys:
                self._stage.freeze(self.victim)
                self._stage.thaw(self.bystander)
                self._moment = Moment.SHARES
            case Moment.SHARES if bystander == self._course.shares:
                self._stage.freeze(self.bystander)
                self._stage.thaw(self.victim)
                self._moment = Moment.MASKED
            case Moment.MASKED if victim in self._course.numbers:
                self._kill(update.job_hash)
            case Moment.BACK if victim.startswith(self._course.back):
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
        self._told(f"{self.victim}'s daemon is killed (kill -9 {self.pid}): {self._course.out}, nothing is opened")
        self._stage.launch(self.victim)
        self._moment = Moment.BACK

    def _compare(self, job_hash: bytes) -> None:
        """Hold what was sent again against what was sent before, as the victim's wire log has both."""
        self.messages = len(self._sent)
        again, sent = self._sent_in(job_hash)[self.messages : 2 * self.messages], self._sent
        if (again != sent) if self._course.ordered else (sorted(again) != sorted(sent)):
            raise JobFailed(f"{self.victim} sent other bytes after it was started again")
        self._moment = Moment.OVER
        self._told(
            f"{self.victim} starts again and sends the same {self.messages} messages, byte for byte; the sum waited "
            f"{self.away_s:.1f} s for it and went on"
        )

    def _sent_in(self, job_hash: bytes) -> list[bytes]:
        frames = frames_in(self._stage.wire_log(self.victim))
        return [convert.frame_bytes(f) for _, way, _, f in frames if way == "out" and f.job_hash == job_hash]

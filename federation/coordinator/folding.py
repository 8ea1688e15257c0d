"""Folding a job from what the store has of it, also where long bytes are not in the store.

Frames of a training carry updates that would take the disk longer than the network, were they flushed. Of such a frame
the signed message is stored; its bulk lies in a file that only a power cut loses, each party's last two. Sums that are
closed need no bulk: the course is kept as it stood after the last one and after the one before. A fold begins at the
latter, so that the last sum is folded whole and whoever lacks its opening, or samples of it, gets them; where bulk is
gone it begins at the former. A fold may halt at a frame and go on when its party has sent it again, byte for byte;
until then nobody is told anything, and nobody is late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from federation.coordinator.run import Run
from federation.coordinator.spool import Parts
from federation.coordinator.store import Event, Store
from federation.domain.job import Job, LogLine, Summary
from federation.domain.roster import Roster
from federation.domain.verdict import Verdict
from federation.jobs.training import Training
from federation.protocols.events import Release, Rooted
from federation.protocols.setup import root_of
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.bulk import LONG_BYTES
from federation.wire.envelope import Opened, opened

Log = Callable[[bytes, LogLine], None]  # (job, a line of its log)
Count = Callable[[object, m.Signed], None]  # (a party's message, its envelope)
Bulk = Callable[[Opened[object]], Parts | None]  # a party's message: its long bytes, if kept


@dataclass(frozen=True, slots=True)
class Closed:
    """What is remembered of a job that ended before the last start; it is folded only if somebody asks."""

    job: Job
    envelope: m.Signed
    ended: m.Ended
    submitted_ms: int

    @classmethod
    def of(cls, job: Job, envelope: m.Signed, events: Sequence[Event]) -> Closed:
        """Return it from all that the store has of the job: the end is last, and the first line tells its beginning."""
        submitted_ms = next((convert.log_line_of(payload).at_ms for kind, payload in events if kind == "log"), 0)
        return cls(job, envelope, convert.ended_of(events[-1][1]), submitted_ms)

    def summary(self, job_hash: bytes) -> Summary:
        """Return it as one job of a list."""
        return Summary(
            job_hash=job_hash,
            job=self.job,
            state=self.ended.state,
            round_index=self.ended.rounds,
            submitted_ms=self.submitted_ms,
            blames=self.ended.blames,
        )


@dataclass(slots=True)
class Halted:
    """A job that is folded as far as it can be.

    Attributes:
        events: those that are not folded.
        bulk: finds what is kept of long frames.
        found: frames that came since, by digest.
        fresh: the same, in the order in which they came.
    """

    run: Run
    events: deque[Event]
    roster: Roster
    log: Log
    count: Count
    bulk: Bulk
    found: dict[bytes, m.Frame] = field(default_factory=dict)
    fresh: list[tuple[Opened[object], m.Frame]] = field(default_factory=list)

    def take(self, message: Opened[object], frame: m.Frame) -> bool:
        """Take a frame that has come; return whether everything is folded now."""
        if message.digest not in self.found:
            self.found[message.digest] = frame
            self.fresh.append((message, frame))
        return self.replayed()

    def replayed(self) -> bool:
        """Fold events until the bulk of one is not there; return whether none is left."""
        run = self.run
        while self.events:
            kind, payload = self.events[0]
            if kind == "ended":
                run.end(convert.ended_of(payload))
            elif kind == "late":
                run.go_on()
            elif kind == "log":
                self.log(run.job_hash, convert.log_line_of(payload))
            elif kind in ("frame", "long"):
                frame = convert.frame_of(payload)
                message = opened(frame.signed, self.roster, relay="the store")
                if kind == "long" and frame.round_index >= len(run.totals):
                    parts = self._parts(message)
                    if parts is None:
                        return False
                    frame = replace(frame, parts=parts)
                self.count(message.value, frame.signed)
                run.receive(message, frame)
            self.events.popleft()
        return True

    def _parts(self, message: Opened[object]) -> Parts | None:
        again = self.found.get(message.digest)
        return again.parts if again is not None else self.bulk(message)


def folded(run: Run, events: Sequence[Event], store: Store, roster: Roster, log: Log, count: Count) -> Halted | None:
    """Fold all that the store has of a job, or as much of it as can be.

    Args:
        run: of the job, new.
        events: all that the store has, the job itself first.

    Returns:
        What goes on when its bulk has come again; None where nothing is left to fold.
    """
    rest = events[1:]
    # Where all bytes are stored every sum is folded: whoever lacks the last opening gets it from there.
    states = store.kept(run.job_hash) if any(kind == "long" for kind, _ in events) else []
    bulk = partial(_bulk, store, run.job_hash)
    saved = start(rest, states, roster, bulk)
    if saved is not None:
        rest = taken_up(run, rest, saved, roster, log, count)
    halted = Halted(run, deque(rest), roster, log, count, bulk)
    return None if halted.replayed() else halted


def start(
    events: Sequence[Event], states: Sequence[Sequence[bytes]], roster: Roster, bulk: Bulk
) -> Sequence[bytes] | None:
    """Return the state at which a fold begins, None for the very beginning.

    Args:
        events: all that the store has, without the job itself.
        states: what was kept last, then what was kept before it, if they are there.
    """
    if not states or events[-1][0] == "ended":
        return states[0] if states else None
    before = states[1] if len(states) > 1 else None
    first, last = (_opened_at(events, state) for state in (before, states[0]))
    for kind, payload in events:
        frame = convert.frame_of(payload) if kind == "long" else None
        if frame is not None and first <= frame.round_index < last:
            message = opened(frame.signed, roster, relay="the store")
            if bulk(message) is None:
                return states[0]
    return before


def _bulk(store: Store, job_hash: bytes, message: Opened[object]) -> Parts | None:
    """Return the long bytes of a message, if they are kept as they were signed: a power cut may leave others."""
    found = store.bulk(job_hash, message.sender, message.digest)
    same = found is not None and isinstance(message.value, Rooted) and root_of(found) == message.value.chunk_root
    return found if same else None


def _opened_at(events: Sequence[Event], state: Sequence[bytes] | None) -> int:
    """Return how many sums were open when the state was kept."""
    position = 0 if state is None else int.from_bytes(state[0], "big") - 1
    return sum(kind == "opened" for kind, _ in events[:position])


def taken_up(
    run: Run, events: Sequence[Event], saved: Sequence[bytes], roster: Roster, log: Log, count: Count
) -> Sequence[Event]:
    """Let a course that was kept stand where it stood.

    Args:
        run: of the job, new.
        events: all that the store has, without the job itself.
        saved: what `kept` made.

    Returns:
        The events that came after.
    """
    position = int.from_bytes(saved[0], "big") - 1  # the job itself is an event too
    totals: dict[int, Release] = {}
    for kind, payload in events[:position]:
        if kind == "opened":
            index, release = opened_of(payload)
            totals[index] = release
        elif kind == "log":
            log(run.job_hash, convert.log_line_of(payload))
        elif kind in ("frame", "long"):
            frame = convert.frame_of(payload)
            message = opened(frame.signed, roster, relay="the store")
            count(message.value, frame.signed)
            if isinstance(message.value, Verdict):
                run.receive(message, frame)
    run.take_up(saved[1:], [totals[index] for index in range(len(totals))])
    ahead = [event for event in events[:position] if _is_ahead(event, len(totals))]
    return [*ahead, *events[position:]]


def _is_ahead(event: Event, sums: int) -> bool:
    """Return whether it is a frame of a sum that is not open: keys of it travel with the answers to the one before."""
    kind, payload = event
    return kind in ("frame", "long") and convert.frame_of(payload).round_index >= sums > 0


def kept(position: int, saved: Sequence[bytes | memoryview]) -> tuple[bytes | memoryview, ...]:
    """Return what is kept of a course; `position` is how many events of the job are stored, this sum's included."""
    return position.to_bytes(8, "big"), *saved


def stored(run: Run, frame: m.Frame) -> Event:
    """Return the event of a frame, without its bulk where that is long and its party can send it again."""
    if frame.size_bytes <= LONG_BYTES or not isinstance(run.course, Training):
        return "frame", convert.frame_bytes(frame)
    return "long", convert.frame_bytes(replace(frame, parts=()))


def keeps_bulk(run: Run, event: Event, frame: m.Frame) -> bool:
    """Return whether a frame's bulk is kept beside its event.

    What is longer than any vector that is due must not fill the disk; who needs it later asks for it again.
    """
    return event[0] == "long" and frame.size_bytes <= run.vector_bytes + LONG_BYTES


def opened_event(index: int, release: Release) -> Event:
    """Return the event of a sum of a course that is kept: what a researcher is told of it."""
    names = "\n".join(release.parties).encode()
    head = index.to_bytes(8, "big") + len(names).to_bytes(4, "big")
    return "opened", head + names + release.total


def opened_of(payload: bytes) -> tuple[int, Release]:
    """Return (index, release) of such an event."""
    end = 12 + int.from_bytes(payload[8:12], "big")
    names = tuple(payload[12:end].decode().split("\n"))
    return int.from_bytes(payload[:8], "big"), Release.of(payload[end:], names)

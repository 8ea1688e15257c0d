"""Random lists of what can happen, one a seed; how each is run, judged, counted, and made small when it fails.

A schedule is what somebody can read: a few settings and a list of operations. It runs the same way every time, and an
operation that does not fit is skipped, so that any shorter list is a schedule too.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias
from unittest import mock

from federation.crypto import agreement, signing
from federation.domain.job import State
from tests.simulation.people import COORDINATOR
from tests.simulation.tap import Wrong
from tests.simulation.world import Wish, World, simulated

Operation: TypeAlias = tuple[object, ...]  # its name, then its arguments

SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000
ONE_SET = "one set per query"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What happens.

    Attributes:
        parties: how many there are.
        support: whether every round of sums has a round of support before it.
        durable: whether memories are the files that programs use.
        away: who is not back for the end, by number.
        operations: in order.
    """

    parties: int
    support: bool = False
    durable: bool = False
    away: tuple[int, ...] = ()
    operations: tuple[Operation, ...] = ()

    @property
    def hostile(self) -> bool:
        """Whether lines do what no line does."""
        return any(operation[0] in ("lose", "swap", "replay") for operation in self.operations)


# --- chance ----------------------------------------------------------------------------------------------------------

MISHAPS = ("cut", "kill", "vanish", "torn", "kill coordinator", "coordinator torn")
HOSTILE = ("lose", "swap", "replay")
STEPS = ("advert", "shares", "head", "consent", "consent", "unmask", "attestation")
AWAY = ("away", "away", "exchange")
THEMES = (MISHAPS, (*MISHAPS, *AWAY), AWAY, (*HOSTILE, *HOSTILE, "cut", "kill"))


def drawn(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    chance = random.Random(seed)
    n = chance.choice((3, 3, 4, 4, 5, 5, 6, 7))
    (theme,) = chance.choices(THEMES, (30, 25, 20, 25))
    firsts = chance.choice(((0,), (0,), (0, 2), (0, 1)))
    operations: list[Operation] = [_asked(chance, n, firsts)]
    for _ in range(chance.randint(4, 24)):
        operations += _happened(chance, n, firsts, theme)
    lost = chance.choice((0, 0, 0, 1, 1, 2))
    return Schedule(
        parties=n,
        support=chance.random() < 0.15,
        durable=chance.random() < 0.03,
        away=tuple(sorted(chance.sample(range(n), lost))),
        operations=tuple(operations),
    )


def _asked(chance: random.Random, n: int, firsts: Sequence[int]) -> Operation:
    size = n if chance.random() < 0.6 else chance.randint(3, n)
    parties = tuple(sorted(chance.sample(range(n), size)))
    minimum = 3 if chance.random() < 0.7 else chance.randint(3, size)
    rounds = chance.choice((1, 1, 1, 2, 3))
    lasts_ms = chance.choice((10 * HOUR_MS, 10 * HOUR_MS, HOUR_MS, 2 * MINUTE_MS))
    return ("ask", parties, minimum, rounds, chance.choice(firsts), lasts_ms)


def _happened(chance: random.Random, n: int, firsts: Sequence[int], theme: Sequence[str]) -> list[Operation]:
    party = chance.randrange(n)
    match chance.choices(("run", "some", "wait", "ask", "cancel", "back", "mishap"), (40, 8, 5, 5, 1, 11, 30))[0]:
        case "run":
            return [("run", chance.randint(1, 12 * n))]
        case "some":
            return [("deliver", chance.randrange(2 * n)) for _ in range(chance.randint(1, 6))]
        case "wait":
            return [("wait", chance.choice((SECOND_MS, 31 * SECOND_MS, 31 * SECOND_MS, 16 * MINUTE_MS, HOUR_MS)))]
        case "ask":
            return [_asked(chance, n, firsts)]
        case "cancel":
            return [("cancel", chance.randrange(3))]
        case "back":
            return [chance.choice((("back", party), ("back", party), ("all back",)))]
    match chance.choice(theme):
        case ("cut" | "kill" | "vanish") as what:
            return [(what, party, chance.choice((0, 0, 1, 2, 9)))]
        case "torn":
            return [("torn", party, chance.randint(1, 4))]
        case "kill coordinator":
            return [("kill coordinator",), *[("all back",)] * chance.randint(0, 1)]
        case "coordinator torn":
            return [("coordinator torn", chance.randint(1, 3), chance.random() < 0.5)]
        case "away":  # long enough that the others go on
            seen = chance.choice(("cut", "kill", "vanish"))
            patience = 31 * SECOND_MS if seen != "vanish" else 16 * MINUTE_MS
            left = chance.sample(range(n), chance.choice((1, 1, 1, 2, 2, 3)))
            gone = [(seen, one, chance.choice((0, 1, 9))) for one in left]
            step = [("until", chance.choice(STEPS))] * chance.randint(0, 1)
            return [*step, *gone, ("run", 12 * n), ("wait", patience), *[("back", one) for one in left[1:]]]
        case "exchange":  # one is lost early, another one later, and the first is back: only a new attempt opens
            early, later = chance.sample(range(n), 2)
            first = [("cut", early, 0), ("run", 12 * n), ("wait", 31 * SECOND_MS), ("until", "consent")]
            return [*first, ("kill", later, 0), ("back", early), ("run", 12 * n), ("wait", 31 * SECOND_MS)]
        case what:
            return [(what, chance.choice(("in", "out")), party, chance.randrange(64)), ("run", chance.randint(1, n))]


# --- one schedule ----------------------------------------------------------------------------------------------------


def act(world: World, operation: Operation) -> None:
    """Let one thing happen; what does not fit does not happen."""
    match operation:
        case ("ask", tuple(parties), int(minimum), int(rounds), int(first), int(lasts_ms)):
            world.ask(Wish(parties, minimum, rounds, first, lasts_ms))
        case ("run", int(count)):
            for turn in range(count):
                _deliver(world, turn)
        case ("until", str(what)):
            for turn in range(500):
                if any(world.coordinator._runs[job].phase[2] == what for job in world.open_jobs()):
                    break
                _deliver(world, turn)
        case ("deliver", int(which)):
            _deliver(world, which)
        case ("wait", int(ms)):
            world.wait(ms)
        case ("cancel", int(place)) if world.jobs:
            world.cancel(place)
        case ("all back",):
            world.back(*world.names)
        case ("back", int(party)):
            world.back(world.names[party])
        case (("cut" | "kill" | "vanish") as what, int(party), int(kept)):
            world.gone(world.names[party], kept=kept, dead=what != "cut", seen=what != "vanish")
        case ("torn", int(party), int(write)):
            world.vaults[world.names[party]].dies_in = write
        case ("kill coordinator",):
            world.kill_coordinator()
        case ("coordinator torn", int(write), bool(after)):
            world.store.dies_in, world.store.dies_after = write, after
        case (("lose" | "swap" | "replay") as what, str(way), int(party), int(which)):
            _disturb(world, what, way, world.names[party], which)


def _deliver(world: World, which: int) -> None:
    if pending := world.pending():
        world.deliver(*pending[which % len(pending)])


def _disturb(world: World, what: str, way: str, party: str, which: int) -> None:
    line = world.lines.get(party)
    if line is None or not (line.open or way == "in"):
        return
    frames, heard = line.way(way), world.heard.get((way, party), [])
    if what == "replay" and heard:
        frames.append(heard[which % len(heard)])
    elif what == "lose" and frames:
        del frames[which % len(frames)]
    elif what == "swap" and len(frames) > 1:
        place = which % (len(frames) - 1)
        frames[place], frames[place + 1] = frames[place + 1], frames[place]


def run(schedule: Schedule, endings: Counter[str]) -> None:
    """Run a schedule to its end and count how its jobs ended. Raises Wrong, or whatever a defect raises."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(schedule.parties, support=schedule.support, folder=Path(folder) if schedule.durable else None)
        try:
            for operation in schedule.operations:
                act(world, operation)
            _calm(world, schedule, endings)
        finally:
            world.close()


def _calm(world: World, schedule: Schedule, endings: Counter[str]) -> None:
    """Nothing happens any more: what can end ends now, the rest by its deadline."""
    world.store.dies_in = 0
    for vault in world.vaults.values():
        vault.dies_in = 0
    away = {world.names[place] for place in schedule.away}
    for party in away:
        world.gone(party, dead=True)
    late = _until_all_ended(world, away, hostile=schedule.hostile)
    for _ in range(3):
        world.back(*world.names)
        world.settle()
    world.forgotten()
    for job_hash in world.jobs:
        endings[_ending(world, job_hash, late, away, hostile=schedule.hostile)] += 1
    endings["an attempt was withdrawn"] += len(world.tap.withdrawn)
    endings["another attempt was made"] += len({at for _, _, at in world.tap.said if at[2]})


def _until_all_ended(world: World, away: set[str], *, hostile: bool) -> set[bytes]:
    """Let those who are present come back and time pass; return the jobs that ended by their deadline."""
    present = [party for party in world.names if party not in away]
    late: set[bytes] = set()
    for _ in range(200):
        _gathered(world, present)
        due = world.coordinator.next_deadline_ms()
        if due is None:
            if world.open_jobs():
                raise Wrong("jobs hang that no deadline ends")
            return late
        for job_hash in world.open_jobs():
            if world.tap.asked[job_hash].job.deadline_ms <= due and job_hash not in late:
                late.add(job_hash)
                if not hostile:
                    _waiting(world, job_hash, away)
        world.wait(max(0, due - world.now_ms))
    raise Wrong("jobs hang after their deadline")


def _gathered(world: World, present: Sequence[str]) -> None:
    for _ in range(50):
        if not world.back(*present) and not world.pending():
            return
        world.settle()
    raise Wrong("somebody dials for ever")


def _waiting(world: World, job_hash: bytes, away: set[str]) -> None:
    """Whoever is here owes nothing: a job that has not ended waits for somebody who is away."""
    run = world.coordinator._runs[job_hash]
    if not set(run.owing()) & away or set(run.owing()) - away:
        raise Wrong(f"a job hangs although {', '.join(run.owing()) or 'nobody'} could go on: {run.phase}")


def _ending(world: World, job_hash: bytes, late: set[bytes], away: set[str], *, hostile: bool) -> str:
    """Say how a job ended. Raises Wrong for an ending that must not be."""
    tap, update = world.tap, world.coordinator.update(job_hash, "ana")
    job = tap.asked[job_hash].job
    if update.state is State.RELEASED:
        counted = tap.released[job_hash, 0][COORDINATOR].parties
        return "released by all" if counted == job.parties else "released without some"
    named = {blame.party for blame in update.blames}
    codes = {blame.code for blame in update.blames}
    rules = {blame.rule for blame in update.blames} - {""}
    if job_hash in world.cancelled:
        return "cancelled"
    if not named or "" in named:
        raise Wrong(f"a job was {update.state.value} and nobody is named: {update.blames}")
    if job_hash in late and not hostile and not named <= away:
        raise Wrong(f"{', '.join(sorted(named - away))} did nothing wrong and is named: {update.blames}")
    if rules == {ONE_SET}:
        return "refused: one set per query"
    if rules == {"no answer"}:
        return "refused: no answer"
    if codes == {"unavailable"}:
        return "aborted by the deadline"
    if hostile:
        return "aborted by name"
    raise Wrong(f"honest members ended a job by {codes}: {update.blames}")


# --- many ------------------------------------------------------------------------------------------------------------


@contextmanager
def quick() -> Iterator[None]:
    """Remember what pure functions of the crypto room return: everybody checks the same signatures and keys."""
    with (
        mock.patch.multiple(
            signing,
            verify=lru_cache(maxsize=20_000)(signing.verify),
        ),
        mock.patch.multiple(
            agreement,
            shared=lru_cache(maxsize=20_000)(agreement.shared),
            key_pair=lru_cache(maxsize=20_000)(agreement.key_pair),
            representative=lru_cache(maxsize=20_000)(agreement.representative),
            derive=lru_cache(maxsize=20_000)(agreement.derive),
        ),
        simulated(),
    ):
        yield


def fault_of(schedule: Schedule) -> Exception | None:
    """Return what goes wrong in a schedule, or None."""
    try:
        run(schedule, Counter())
    except Exception as fault:  # noqa: BLE001 - whatever it is, it is what was looked for
        return fault
    return None


def smallest(schedule: Schedule, fails: Callable[[Schedule], bool]) -> Schedule:
    """Return the schedule without every operation that its failure does not need."""
    for simpler in ({"durable": False}, {"support": False}, {"away": ()}):
        candidate = replace(schedule, **simpler)  # type: ignore[arg-type]
        schedule = candidate if fails(candidate) else schedule
    size = max(1, len(schedule.operations) // 2)
    while size:
        start, before = 0, len(schedule.operations)
        while start < len(schedule.operations):
            rest = schedule.operations[:start] + schedule.operations[start + size :]
            candidate = replace(schedule, operations=rest)
            if fails(candidate):
                schedule = candidate
            else:
                start += size
        size = size // 2 if len(schedule.operations) == before or size > 1 else size
    return schedule


def told(schedule: Schedule) -> str:
    """Return the schedule as it can be written into a test."""
    lines = [f"        {operation!r}," for operation in schedule.operations]
    changes = "".join(
        f", {name}={getattr(schedule, name)!r}" for name in ("support", "durable", "away") if getattr(schedule, name)
    )
    return "\n".join([f"Schedule(parties={schedule.parties}{changes}, operations=(", *lines, "))"])

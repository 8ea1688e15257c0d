"""What `federation doctor` finds and how it is judged: named steps in order, each well, with a warning, or failed.

Pure apart from the steps that it is handed. A step fails alone: later ones run unless they name it as needed, and
those are skipped, neither well nor blamed. No finding holds a data value.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from federation.errors import FederationError, Refused, Unreachable, did_you_mean

SKEW_WARN_MS: Final = 5_000
SKEW_FAIL_MS: Final = 60_000
LITTLE_SPACE_BYTES: Final = 1 << 30
FEWEST: Final = 3  # parties without which no sum is secure
MOST_NAMES: Final = 8  # of members in one line


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor.

    Attributes:
        check: the check's name.
        text: what was found; for a failure the cause, in one line.
        remedy: the next step, or "".
        exit_code: of a failure, DESIGN section 6; else 0.
    """

    check: str
    state: State
    text: str
    remedy: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What a step has to say that does not fail: a remedy makes it a warning."""

    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A named check.

    Attributes:
        check: its name, unique.
        run: returns what it found; raises for a failure.
        needs: checks that must not have failed before it.
        remedy: the next step after a failure that names none.
    """

    check: str
    run: Callable[[], Told]
    needs: tuple[str, ...] = ()
    remedy: str = ""


class NotNow(Exception):
    """Raised by a step that has nothing to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendant:
    """A party as the coordinator sees it."""

    name: str
    connected: bool
    software: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the coordinator says about itself; `now_ms` is 0 where it does not say."""

    software: str
    now_ms: int
    parties: tuple[Attendant, ...]


def examined(steps: Iterable[Step], out_of_reach: Collection[str] = ()) -> Iterator[Finding]:
    """Run the steps in order and yield one finding each, as soon as it is there."""
    missing = set(out_of_reach)
    for step in steps:
        lacking = next((need for need in step.needs if need in missing), "")
        if lacking:
            finding = Finding(check=step.check, state=State.SKIPPED, text=f"not checked: it needs {lacking}")
        else:
            finding = found(step)
        if finding.state in (State.FAIL, State.SKIPPED):
            missing.add(step.check)
        yield finding


def found(step: Step) -> Finding:
    """Run one step; nothing that it raises gets further, apart from an interrupt."""
    try:
        told = step.run()
    except NotNow as reason:
        return Finding(check=step.check, state=State.SKIPPED, text=f"not checked: {reason}")
    except FederationError as fault:
        return failed(step.check, fault, step.remedy)
    except OSError as fault:
        what = _written(fault)
        remedy = "free space" if fault.errno == errno.ENOSPC else "check that this user may read and write there"
        return Finding(check=step.check, state=State.FAIL, text=what, remedy=remedy, exit_code=4)
    except Exception as fault:  # noqa: BLE001 - a doctor that falls over finds nothing; foreign text may hold a value
        what = f"this software went wrong: {type(fault).__module__}.{type(fault).__qualname__}"
        return Finding(check=step.check, state=State.FAIL, text=what, remedy="please report it", exit_code=70)
    state = State.WARN if told.remedy else State.OK
    return Finding(check=step.check, state=state, text=_line(told.text), remedy=_line(told.remedy))


def failed(check: str, fault: FederationError, remedy: str) -> Finding:
    """Return the finding for an error of ours; `remedy` where it has none of its own."""
    return Finding(
        check=check,
        state=State.FAIL,
        text=_line(fault.message),
        remedy=_line(fault.hint or remedy),
        exit_code=fault.exit_code,
    )


def exit_code(findings: Iterable[Finding]) -> int:
    """Return the code of the gravest failure, 0 without one; warnings do not fail."""
    return max((finding.exit_code for finding in findings), default=0)


def sentence(findings: Sequence[Finding]) -> str:
    """Return the last line: all is well, or what to mend first."""
    faults = [finding for finding in findings if finding.state is State.FAIL]
    warnings = [finding for finding in findings if finding.state is State.WARN]
    if faults:
        first = f"{faults[0].check}: {faults[0].text}"
        return f"{len(faults)} {'thing' if len(faults) == 1 else 'things'} to mend, the first: {first}"
    notes = [f"with {len(warnings)} {'warning' if len(warnings) == 1 else 'warnings'}"] if warnings else []
    skipped = sum(finding.state is State.SKIPPED for finding in findings)
    notes += [f"{skipped} not checked"] if skipped else []
    return ", ".join(["all is well", *notes])


# --- judgements ------------------------------------------------------------------------------------------------------


def clock(their_ms: int, before_ms: int, after_ms: int) -> Told:
    """Judge the coordinator's clock against ours, read before and after the question.

    Raises:
        Unreachable: the clocks differ by over a minute, whatever the way there and back took.
    """
    if not their_ms:
        return Told("the coordinator does not tell its time", "ask its operator to update it")
    ahead_ms = max(before_ms - their_ms, 0) - max(their_ms - after_ms, 0)  # 0 while between: no more can be known
    if abs(ahead_ms) <= SKEW_WARN_MS:
        return Told(f"within {max(abs(ahead_ms), after_ms - before_ms, 1) / 1000:.1f} s of the coordinator's")
    what = (
        f"this machine's clock is {_span(abs(ahead_ms))} {'ahead of' if ahead_ms > 0 else 'behind'} the coordinator's"
    )
    remedy = "set the clock by NTP (`timedatectl`), here or there: deadlines are read from it"
    if abs(ahead_ms) > SKEW_FAIL_MS:
        raise Unreachable(what, hint=remedy)
    return Told(what, remedy)


def versions(ours: str, status: Status) -> Told:
    """Judge the versions that attend."""
    if status.software != ours:
        theirs = _word(status.software) or "one that it does not say"
        return Told(f"the coordinator runs {theirs}, this is {ours}", "let all members run one version")
    others = [f"{_word(p.name)} {_word(p.software)}" for p in status.parties if p.connected and p.software != ours]
    if others:
        return Told(f"this is {ours} as the coordinator's, but {_listed(others)}", "let all members run one version")
    return Told(f"{ours}, here and there")


def attendance(status: Status, me: str, roster_parties: Collection[str]) -> Told:
    """Judge who attends."""
    here = sorted(p.name for p in status.parties if p.connected and p.name in roster_parties)
    away = sorted(set(roster_parties) - set(here))
    text = f"{_listed(here)} attend" if here else "nobody attends"
    if away:
        text += f"; not {_listed(away)}"
    if me in away:
        return Told(text, "start our daemon: `federation jurisdiction start FILE.toml`")
    if len(here) < FEWEST:
        return Told(text, f"no job runs with fewer than {FEWEST}: their operators run `federation doctor FILE.toml`")
    return Told(text)


def policy(
    statistics: Sequence[str] | None, researchers: Sequence[str] | None, known: Collection[str], people: Collection[str]
) -> Told:
    """Judge the names in a policy: one that nobody bears would refuse jobs that its operator means to permit.

    Args:
        statistics: as the policy permits them, None for all.
        researchers: likewise.
        known: statistics that this version has.
        people: researchers of the roster; empty where the roster is not known.
    """
    if told := unknown("statistic", statistics or (), known):
        return told
    for name in researchers or ():
        if people and name not in people:
            remedy = did_you_mean(name, people) or "`federation roster show` lists them"
            return Told(f"the roster has no researcher {_word(name)!r}, whom the policy permits", remedy)
    clauses = [
        f"{len(names)} {what}" for what, names in (("statistics", statistics), ("researchers", researchers)) if names
    ]
    return Told(f"permits {' to '.join(clauses)}" if clauses else "permits every statistic to every researcher")


def unknown(one: str, names: Sequence[str], known: Collection[str]) -> Told | None:
    """Return what to say of the first of `names`, each a `one`, that this version does not have; None for none."""
    for name in names:
        if name not in known:
            remedy = did_you_mean(name, known) or "remove it"
            return Told(f"there is no {one} {_word(name)!r}, which the policy permits", remedy)
    return None


def space(free_bytes: int) -> Told:
    """Judge the room on the disk of the state folder."""
    if free_bytes < LITTLE_SPACE_BYTES:
        return Told(f"{free_bytes / 2**20:.0f} MiB are free where the state is", "free space: below 1 GiB is little")
    return Told(f"{free_bytes / 2**30:.0f} GiB are free")


def role(name: str, is_role: str, wanted: str) -> None:
    """Check that the keys belong to the role that this file is for. Raises Refused."""
    if is_role != wanted:
        raise Refused(
            f"the keys are those of {name}, a {is_role}, and this needs a {wanted}",
            rule="roster",
            hint=f"set `keys` to the folder of a {wanted}",
        )


def _span(ms: int) -> str:
    seconds = ms / 1000
    return (
        f"{seconds:.1f} s"
        if seconds < 600
        else f"{seconds / 60:.0f} min"
        if seconds < 36_000
        else f"{seconds / 3600:.0f} h"
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(_word(name) for name in names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"


def _word(text: str) -> str:
    return _line(text)[:60]


def _line(text: str) -> str:
    return " ".join(text.split())


def _written(fault: OSError) -> str:
    name = os.fspath(fault.filename) if isinstance(fault.filename, str) else ""
    return f"{name}: {fault.strerror}" if name and fault.strerror else fault.strerror or "the system refuses"

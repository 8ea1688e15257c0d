"""Whole stories of a masked sum: any order, duplicates, somebody missing, something altered; drawn, run and judged.

Every story ends in one of three ways, and each is reached often: everybody releases the exact total, or the aggregator
names exactly who is missing, or the first member who sees an alteration names the culprit. Nobody ever releases
anything but the exact total.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from federation.crypto import ring
from federation.errors import ProtocolViolation
from federation.protocols.machine import fold
from federation.protocols.masked_sum import checks
from federation.protocols.masked_sum.messages import Advert, Head
from federation.protocols.secure_sum import Abort, DeadlinePassed, Delivered, Parcel, Received
from tests.protocols.cohort import COORDINATOR, Cohort, attested, broadcast

STORIES = 300
HAPPY, MISSING, BAD_PARTY, BAD_RELAY = "everybody", "one is missing", "a party alters", "the relay alters"


@dataclass(frozen=True)
class Story:
    """What is drawn: who, which numbers, in which orders, and what goes wrong at which step."""

    vectors: dict[str, list[int]]
    orders: tuple[tuple[str, ...], ...]
    again: tuple[bool, ...]
    fault: str
    phase: str
    who: str
    how: int


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A story of 3 to 5 parties and 1 to 3 numbers."""
    n, length = draw(st.integers(3, 5)), draw(st.integers(1, 3))
    names = tuple(f"p{i}" for i in range(n))
    row = st.lists(st.integers(-(2**127), 2**127 - 1), min_size=length, max_size=length)
    return Story(
        vectors={name: draw(row) for name in names},
        orders=tuple(tuple(draw(st.permutations(names))) for _ in range(4)),
        again=tuple(draw(st.booleans()) for _ in range(4)),
        fault=draw(st.sampled_from([HAPPY, MISSING, BAD_PARTY, BAD_RELAY])),
        phase=draw(st.sampled_from(["adverts", "heads"])),
        who=draw(st.sampled_from(names)),
        how=draw(st.integers(0, 3)),
    )


def altered(parcel: Parcel, how: int) -> Parcel:
    """The parcel as a dishonest sender would sign it; the signature is its own and holds."""
    value = parcel.message.value
    if isinstance(value, Advert):
        wrong: Advert | Head = replace(value, setup_hash=b"x" * 32) if how % 2 else replace(value, mask_pk=bytes(32))
    elif isinstance(value, Head):
        fields = ({"spec_hash": b"x" * 32}, {"u2_hash": b"x" * 32}, {"length": 9}, {"chunk_root": b"x" * 32})
        wrong = replace(value, **fields[how])
    else:
        raise TypeError
    return replace(parcel, message=attested(wrong))


def tampered(bundle: tuple[Parcel, ...], who: str, how: int) -> tuple[Parcel, ...]:
    """The bundle as a dishonest relay forwards it: it can sign nothing, but drop, double, rename and touch chunks."""
    mine = next(parcel for parcel in bundle if parcel.message.sender == who)
    others = tuple(parcel for parcel in bundle if parcel is not mine)
    if how == 0:
        return others
    if how == 1:
        return (*bundle, mine)
    if how == 2:
        return (*others, replace(mine, message=replace(mine.message, sender="p9")))
    return (*others, replace(mine, chunks=(*mine.chunks[:-1], bytes(16 if mine.chunks else 1))))


def deliver(cohort: Cohort, story: Story, bundle: tuple[Parcel, ...], step: int) -> None:
    """Hand the bundle to every party, in drawn orders, twice where drawn; the relay alters one party's copy."""
    phase = ("adverts", "heads")[step]
    for party in story.orders[2 + step]:
        forwarded = tuple(sorted(bundle, key=lambda p: story.orders[step].index(p.message.sender)))
        if story.fault == BAD_RELAY and story.phase == phase and party == story.who:
            forwarded = tampered(forwarded, story.orders[0][0], story.how)
        for _ in range(1 + story.again[2 + step]):
            cohort.parties[party].give(Delivered(parcels=forwarded))


def collect(cohort: Cohort, story: Story, step: int) -> tuple[Parcel, ...] | None:
    """Let everybody send, in a drawn order, twice where drawn; the bundle, or None if the deadline passed."""
    phase = ("adverts", "heads")[step]
    bundle: tuple[Parcel, ...] | None = None
    for party in story.orders[step]:
        faulty = story.phase == phase and story.who == party
        if faulty and story.fault == MISSING:
            continue
        parcel = cohort.contribute(party, story.vectors[party]) if step else cohort.begin(party)
        if faulty and story.fault == BAD_PARTY:
            parcel = altered(parcel, story.how)
        for _ in range(1 + story.again[step]):
            effects = cohort.aggregator.give(Received(parcel=parcel))
            bundle = broadcast(effects) if effects else bundle
    if bundle is None:
        cohort.aggregator.give(DeadlinePassed())
    return bundle


def told(cohort: Cohort, story: Story) -> tuple[str, str]:
    """Run the story; how it ended and whom that names."""
    try:
        for step in range(2):
            bundle = collect(cohort, story, step)
            if bundle is None:
                (abort,) = (effect for effect in cohort.aggregator.effects if isinstance(effect, Abort))
                (blame,) = abort.blames
                return "unavailable", blame.party
            deliver(cohort, story, bundle, step)
    except ProtocolViolation as violation:
        return "violation", violation.party
    return "released", ""


def judge(cohort: Cohort, story: Story, ending: str, named: str) -> None:
    """What must hold after every story."""
    columns = zip(*story.vectors.values(), strict=True)
    exact = ring.to_bytes(ring.from_ints([(sum(column) + 2**127) % 2**128 - 2**127 for column in columns]))
    machines = (*cohort.parties.values(), cohort.aggregator)
    released = [release for machine in machines for release in machine.released]
    assert all(release.total == exact and release.parties == tuple(story.vectors) for release in released)
    wanted = {
        HAPPY: ("released", ""),
        MISSING: ("unavailable", story.who),
        BAD_PARTY: ("violation", story.who),
        BAD_RELAY: ("violation", COORDINATOR),
    }
    assert (ending, named) == wanted[story.fault]
    if ending == "released":
        assert len(released) == len(machines)
    for machine in machines:  # whatever happened, the events that were accepted lead to the same state and bytes
        again = fold(machine.step, machine.start, machine.events)
        assert (again.state, list(again.effects)) == (machine.state, machine.effects)


def tell_all(*phases: Phase) -> Counter[str]:
    """Draw and judge STORIES stories; how often each ending was reached."""
    endings: Counter[str] = Counter()

    @seed(7)
    @settings(max_examples=STORIES, database=None, phases=phases)
    @given(story=stories())
    def each(story: Story) -> None:
        cohort = Cohort(len(story.vectors), len(story.vectors["p0"]))
        ending, named = told(cohort, story)
        judge(cohort, story, ending, named)
        endings[ending] += 1

    each()
    return endings


def test_every_story_ends_as_it_must_and_every_ending_is_reached_often() -> None:
    endings = tell_all(Phase.generate, Phase.shrink)
    assert sum(endings.values()) >= STORIES
    assert all(endings[ending] >= STORIES // 10 for ending in ("released", "unavailable", "violation")), endings


@pytest.mark.parametrize("check", ["head", "advert", "one_each"])
def test_the_planted_fault_of_a_check_that_passes_everything_is_caught(
    check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = {
        "head": lambda _spec, _binding, parcel, _relay: parcel.message.value,
        "advert": lambda _setup, _hash, parcel, _relay: (parcel.message.value, parcel.message.value.mask_pk),
        "one_each": lambda _setup, parcels, _relay, _phase: {p.message.sender: p for p in parcels},
    }
    monkeypatch.setattr(checks, check, careless[check])
    with pytest.raises((AssertionError, LookupError, ValueError)):
        tell_all(Phase.generate)

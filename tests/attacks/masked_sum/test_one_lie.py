"""A party that says one thing that is not true: the sum ends in its name, or in the total that the others can check."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from federation.errors import ProtocolViolation
from federation.protocols.events import Attested, Delivered, Parcel, Received
from federation.protocols.masked_sum import MaskedSum, aggregator
from federation.protocols.masked_sum.messages import Challenge
from federation.protocols.setup import Check
from federation.wire import messages as m
from federation.wire.envelope import opened, signed
from tests.attacks.masked_sum.judging import remember, stories
from tests.attacks.masked_sum.lying import chunks, pool
from tests.wire.mutations import rooted
from tests.wire.recorded_sums import MALLORY, RELAY, Sum, parcels_of, roster, signer

RUNS = 300
LIES = ("Advert", "Shares", "Head", "Consent", "Unmask", "Challenge")
SUMS: tuple[dict[str, Any], ...] = (
    {"n": 3, "order": (0, 2, 1)},
    {"n": 4},
    {"n": 4, "order": (1, 0, 2, 3), "lost": ("p3", "head")},
    {"n": 4, "lost": ("p3", "consent")},
    {"n": 4, "check": Check.SAMPLE, "ring": "z2^64"},
)


def lied(draw: Random) -> tuple[str, str]:
    """Run a sum in which mallory says one thing that is not true: (what about, how it ended)."""
    about, shape = draw.choice(LIES), draw.choice(SUMS)

    def lie(frame: m.Frame, value: Any) -> m.Frame:
        if type(value).__name__ != about:
            return frame
        false = pool().message(value, draw, keep=("party",)) if draw.random() < 0.7 else value
        parts = chunks(frame.parts, draw) if frame.parts and draw.random() < 0.5 else frame.parts
        if draw.random() < 0.7:
            false, parts = rooted(false, parts)
        return replace(frame, signed=signed(signer(MALLORY), false.domain, false), parts=parts)

    try:
        run = Sum("four", lie=lie, **shape)
    except ProtocolViolation as fault:
        assert fault.party == MALLORY, f"{fault.party} is blamed for a lie about {about}: {fault.message}"
        return about, "refused"
    assert {blame.party for abort in run.aborts for blame in abort.blames} <= {MALLORY, run.lost[0]}
    totals = {(release.total, release.parties) for release in run.releases}
    assert len(totals) <= 1, "one sum has one total"
    for total, parties in totals:
        assert len(parties) >= run.setup.least
        assert about == "Head" or total == run.total_of(parties), "a total that nobody asked for"
    return about, "released" if totals else "aborted"


def test_a_lie_ends_in_the_liars_name_or_in_the_true_total(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(monkeypatch)
    draw = Random(2)
    ends = Counter(lied(draw) for _ in range(RUNS))
    print(ends)
    assert sum(ends.values()) == RUNS
    for about in LIES:
        assert ends[about, "refused"] >= 3, f"hardly a lie about {about} was refused"
    assert ends["Head", "released"] >= 3, "what a party says of its own rows nobody can check"


def test_the_recorded_sums_end_as_honest_sums_do() -> None:
    for name, story in stories().items():
        counted = {release.parties for release in story.releases}
        assert {release.total for release in story.releases} == {story.total_of(*counted)}, name
        aside = name in ("no advert of p3", "no shares of p3", "no advert of mallory")
        assert len(story.releases) == len(story.setup.parties) - aside + 1, f"{name}: every party and the aggregator"


def test_what_honest_members_say_again_or_too_late_is_ignored() -> None:
    """After a broken line everything is sent again; and who was given up may still speak."""
    given = 0
    for story in stories().values():
        told: dict[str, list[Delivered | Received]] = {}
        for moment in story.moments:
            for event in told.get(moment.to, []):
                again = moment.step(event)
                value = event.parcel.message.value if isinstance(event, Received) else None
                samples = isinstance(value, Challenge) and isinstance(moment.state, aggregator.Finished)
                assert samples or (again.state is moment.state and not again.effects), f"{moment.name} took it again"
                given += 1
            told.setdefault(moment.to, []).append(event_of(moment.to, moment.frame))
        for frame in story.frames:
            late = event_of(RELAY, frame)
            after = MaskedSum.aggregator_step(story.states[RELAY], late)
            assert after.state == story.states[RELAY]
    assert given > 500


def event_of(to: str, frame: m.Frame) -> Received | Delivered:
    if to != RELAY:
        return Delivered(parcels=parcels_of(frame))
    message = opened(frame.signed, roster(), relay=RELAY)
    attested: Attested[Any] = Attested(sender=message.sender, value=message.value, digest=message.digest)
    return Received(parcel=Parcel(message=attested, chunks=frame.parts))

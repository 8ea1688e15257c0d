"""Frames that are lost, repeated, late or in another order, while the line itself holds.

A line of TCP does none of that: it shows what a faulty program could do, and that it harms nobody but a deadline.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from federation.coordinator.run import Run
from federation.domain import job as jobs
from federation.protocols.events import AggregatorEvent, Received
from federation.protocols.masked_sum import aggregator
from federation.protocols.secure_sum import AggregatorTransition, State
from federation.wire import messages as m
from tests.coordinator.stage import COORDINATOR, PARTIES, Stage, assert_exact, begun, boundaries, disturbed

LONG = (2, False)  # k and own figures: a round of support before the sums
THREE = PARTIES[:3]


def test_a_line_that_repeats_every_frame_changes_nothing() -> None:
    stage = Stage(link=lambda _way, _party, frame: (frame, frame))
    job, job_hash = begun(stage)
    stage.settle()
    assert_exact(stage, job, job_hash)
    assert all(len(engine.calls) == 1 for engine in stage.engines.values()), "no query runs again for a repeated frame"


def test_without_knowing_what_came_a_repeated_advert_would_be_a_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, seen = aggregator.step, set[bytes]()

    def forgetful(state: State, event: AggregatorEvent) -> AggregatorTransition:
        """As a machine that does not know its own messages again: the second one is another."""
        if isinstance(event, Received):
            message = event.parcel.message
            if message.digest in seen:
                message = replace(message, digest=hashlib.sha256(message.digest).digest())
            seen.add(message.digest)
            event = Received(parcel=replace(event.parcel, message=message))
        return plain(state, event)

    monkeypatch.setattr(Run, "knows", lambda *_: False)
    monkeypatch.setattr(aggregator, "step", forgetful)
    stage = Stage(link=lambda _way, _party, frame: (frame, frame))
    _, job_hash = begun(stage)
    stage.settle()
    assert stage.state(job_hash) is not jobs.State.RELEASED


def lossy(at: int, **frame: Any) -> tuple[list[tuple[str, str, m.Frame]], Stage]:
    """A stage whose line loses frame number `at`, and what was lost."""
    lost: list[tuple[str, str, m.Frame]] = []
    seen = 0

    def link(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        nonlocal seen
        seen += 1
        if seen != at + 1:
            return (frame,)
        lost.append((way, party, frame))
        return ()

    return lost, Stage(link=link, **frame)


def test_a_frame_that_is_lost_is_named_at_the_deadline_or_made_good_by_coming_back() -> None:
    endings: Counter[str] = Counter()
    for at in range(boundaries(*LONG)):
        lost, stage = lossy(at)
        job, job_hash = begun(stage)
        stage.settle()
        ((_, party, frame),) = lost
        if stage.state(job_hash) is jobs.State.RELEASED:
            assert frame.signed.domain == m.ENDED or frame.round_index == 2, "a key for a round that the plan has not"
            endings["nothing that was needed"] += 1
        elif at % 2:
            stage.attend(party)
            stage.settle()
            endings["made good"] += 1
        else:
            stage.expire()
            assert stage.state(job_hash) in (jobs.State.ABORTED, jobs.State.REFUSED)
            assert {party for party, _ in stage.blames(job_hash)} == {party}, "exactly the one who is missing"
            endings[str(stage.blames(job_hash).pop()[1])] += 1
            continue
        assert_exact(stage, job, job_hash)
    assert endings["made good"] >= 10
    assert endings["refused"] >= 1, "a verdict that did not come"
    assert endings["unavailable"] >= 10, "a message of a round that did not come"
    assert endings["nothing that was needed"] >= 6, endings


def test_a_bundle_that_is_lost_between_others_is_a_gap_that_only_the_coordinator_can_make() -> None:
    """Of four parties three open the sum: the fourth gets the consents without the list that they agree to."""
    gaps = 0
    for at in range(boundaries(1, True, 4)):
        lost, stage = lossy(at, names=PARTIES[:4], k=1, own_figures=True)
        _, job_hash = begun(stage)
        stage.settle()
        ((way, _, frame),) = lost
        if stage.blames(job_hash):
            assert stage.blames(job_hash) == {(COORDINATOR, "protocol_violation")}
            assert (way, frame.signed.domain) == ("out", m.BUNDLE)
            gaps += 1
    assert gaps >= 1


def test_a_frame_may_be_late_by_any_number_of_others() -> None:
    """A line that is slow: its frames keep their order and come after everybody else's."""
    for slow in THREE:
        for at in range(0, boundaries(*LONG), 4):
            stage = Stage()
            job, job_hash = begun(stage)
            start = stage.delivered
            while pending := stage.pending():
                others = [end for end in pending if end[1] != slow or stage.delivered - start < at]
                stage.deliver(*(others or pending)[0])
            assert_exact(stage, job, job_hash)


def test_what_a_party_sends_may_change_places_before_it_arrives() -> None:
    for at in range(0, boundaries(*LONG), 2):
        stage = Stage()

        def act(stage: Stage) -> None:
            for line in stage.lines.values():
                line["in"].reverse()

        job, job_hash = disturbed(stage, at, act)
        assert_exact(stage, job, job_hash)


def test_what_the_coordinator_sends_in_another_order_is_exact_or_its_own_violation() -> None:
    """Its line keeps the order, so only a faulty coordinator can do this; nobody else is blamed for it."""
    endings: Counter[str] = Counter()
    for at in range(0, boundaries(*LONG), 2):
        stage = Stage()

        def act(stage: Stage) -> None:
            for party in THREE:
                stage.attend(party)  # offer and bundles are on their way again, in one heap
                stage.lines[party]["out"].reverse()

        job, job_hash = disturbed(stage, at, act)
        culprits = {fault.party for _, fault in stage.violations} | {party for party, _ in stage.blames(job_hash)}
        assert culprits <= {COORDINATOR}
        assert not stage.stories()
        if stage.state(job_hash) is jobs.State.RELEASED:
            stage.violations.clear()
            assert_exact(stage, job, job_hash)
        endings[f"{stage.state(job_hash)}{', named' * bool(culprits)}"] += 1
    assert endings["released"] >= 5, endings

"""The coordinator's part of evidence: whose job it is, when it may be had, and what never gets into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clients.local.federation import COORDINATOR, RESEARCHER, federation_of
from clients.researcher.audit import audited
from clients.researcher.session import Session
from federation.coordinator.driver import Driver
from federation.coordinator.store import MemoryStore, SqliteStore, Store
from federation.domain.job import State
from federation.errors import Misuse
from federation.protocols.masked_sum.messages import Head
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.evidence import encoded
from tests.researcher.evidences import PARTIES, Story, bereft, frames, small, stopped, told, tried_again, walked


def restarted(story: Story, store: Store) -> Driver:
    """The same coordinator after a restart: it remembers what the store has."""
    driver = Driver(story.signers[COORDINATOR], story.roster, store)
    driver.resume()
    return driver


def store_of(story: Story) -> Store:
    return story.transport.network.coordinator._store


@pytest.mark.parametrize("made", [small, walked, bereft, tried_again, stopped])
def test_a_coordinator_that_was_restarted_makes_the_same_evidence_byte_for_byte(made: Any, tmp_path: Path) -> None:
    story: Story = made()
    store = SqliteStore(tmp_path / "events.db")
    for name, document in store_of(story)._documents.items():  # type: ignore[attr-defined]
        store.put_document(name, document)
    store.append(story.job_hash, store_of(story).events(story.job_hash))
    driver = restarted(story, store)
    assert encoded(driver.evidence(story.job_hash, RESEARCHER)()) == story.content
    assert driver.counts() == (0, 1)
    assert not driver._runs, "the job was folded beside the coordinator, not into it"
    store.close()


def test_the_researcher_and_the_parties_of_a_job_get_its_evidence_and_nobody_else_does() -> None:
    story = small()
    coordinator = story.transport.network.coordinator
    for member in (RESEARCHER, *PARTIES[:3]):
        assert encoded(coordinator.evidence(story.job_hash, member)()) == story.content
    for member in ("ben", "shenzhen", COORDINATOR, ""):
        with pytest.raises(Misuse, match="no such job of yours"):
            coordinator.evidence(story.job_hash, member)


@pytest.mark.parametrize("job_hash", [b"", bytes(32), b"x" * 31, bytes(64)])
def test_a_job_that_does_not_exist_has_no_evidence(job_hash: bytes) -> None:
    with pytest.raises(Misuse, match="no such job of yours"):
        small().transport.network.coordinator.evidence(job_hash, RESEARCHER)


def test_a_job_that_runs_has_no_evidence_yet() -> None:
    transport = federation_of(frames(PARTIES[:3]), link=lambda *_: None)  # nothing arrives
    session = Session(transport)
    table = session.table("data")
    handle = session.submit([table.ask.count()], data=table)
    coordinator = transport.network.coordinator
    assert coordinator.update(handle.job_hash, RESEARCHER).state is State.UNDER_REVIEW
    with pytest.raises(Misuse, match="has not ended"):
        coordinator.evidence(handle.job_hash, RESEARCHER)
    session.close()


def frames_in(story: Story) -> list[m.Frame]:
    events = store_of(story).events(story.job_hash)
    return [convert.frame_of(payload) for kind, payload in events if kind == "frame"]


def test_no_share_no_box_and_no_vector_of_an_unopened_attempt_is_in_it() -> None:
    story = tried_again()
    received = frames_in(story)
    assert {0, 1} == {frame.attempt for frame in received if frame.signed.domain == Head.domain}
    for frame in received:
        if frame.signed.domain == "federation/unmask/v1" or (frame.attempt == 0 and frame.signed.domain == Head.domain):
            assert frame.signed.body not in story.content
    secret = [
        part
        for frame in received
        for part in frame.parts
        if frame.signed.domain != Head.domain or frame.attempt != story.evidence.sums[0].attempt
    ]
    assert len(secret) >= 20
    assert not any(part in story.content for part in secret)


def test_the_vector_of_a_party_that_came_too_late_is_not_in_it() -> None:
    """Beside its owner's opened key it would have one mask left."""
    kept: list[m.Frame] = []

    def link(way: str, party: str, frame: m.Frame) -> m.Frame | None:
        if (way, party, frame.signed.domain) == ("in", "macao", Head.domain) and not kept:
            kept.append(frame)
            return None
        if (way, frame.signed.domain) == ("in", "federation/unmask/v1") and len(kept) == 1:
            kept.append(frame)
            story_coordinator[0].receive("macao", kept[0])  # now it is settled who is counted
        return frame

    store = MemoryStore()
    transport = federation_of(frames(PARTIES[:5]), link=link, store=store)
    story_coordinator = [transport.network.coordinator]
    session = Session(transport)
    table = session.table("data", minimum_parties=4)
    assert table.count().value == 160
    (job_hash,) = store.jobs()
    stored = [convert.frame_of(payload) for kind, payload in store.events(job_hash) if kind == "frame"]
    late = [frame for frame in stored if frame.signed.body == kept[0].signed.body]
    assert len(late) == 1, "the coordinator has it"
    content = encoded(transport.network.coordinator.evidence(job_hash, RESEARCHER)())
    assert kept[0].signed.body not in content
    assert kept[0].parts[0] not in content
    assert audited(content, transport.roster).broken is None


def test_evidence_of_a_cancelled_job_says_so() -> None:
    transport = federation_of(frames(PARTIES[:3]), link=lambda *_: None)
    session = Session(transport)
    table = session.table("data")
    handle = session.submit([table.ask.count()], data=table)
    transport.cancel(handle.job_hash)
    report = audited(b"".join(transport.evidence(handle.job_hash)), transport.roster, job_hash=handle.job_hash)
    assert report.broken is None
    claims = [line.claim for line in report.lines]
    assert "the job ended: aborted" in claims
    assert f"{RESEARCHER} cancelled the job" in claims
    assert "no verdict of guangdong, hongkong, macao came" in claims


def test_the_opening_that_is_made_again_is_the_one_that_the_parties_were_sent() -> None:
    sent: list[bytes] = []

    def link(way: str, party: str, frame: m.Frame) -> m.Frame | None:
        if way == "out":
            sent.append(convert.signed_bytes(frame.signed))
        return None if (way, party, frame.signed.domain) == ("in", "macao", Head.domain) else frame

    story = told(lambda t: [t.ask.mean("x", by="s")], n=5, link=link, minimum_parties=4, k=2, own_figures=False)
    assert len(story.evidence.sums) == 2
    for of in story.evidence.sums:
        assert sum(convert.signed_bytes(of.opening) in frame for frame in sent) >= 4
    assert convert.signed_bytes(story.evidence.ended) in sent

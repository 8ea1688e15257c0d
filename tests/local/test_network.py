"""The network inside one process: every frame passes the link, in order, and only between those who are connected."""

from __future__ import annotations

import pytest

from clients.local.network import Link, Network, honest
from federation.domain.job import State
from federation.errors import ProtocolViolation
from federation.wire import messages as m
from federation.wire.envelope import signed
from tests.coordinator.stage import NOW_MS, PARTIES, Stage, people, reference

THREE = PARTIES[:3]


def networked(link: Link = honest) -> tuple[Network, Stage]:
    """The stage's machines on the network that `fed.local` uses."""
    stage = Stage()
    network = Network(stage.coordinator, stage.jurisdictions, link)
    for party in THREE:
        network.connect(party)
    return network, stage


def run(network: Network, stage: Stage) -> bytes:
    envelope = signed(people()["ana"], m.JOB, stage.job())
    job_hash, outgoing = network.coordinator.submit(envelope, NOW_MS, "ana")
    network.sent(outgoing)
    network.settle()
    return job_hash


def test_a_job_ends_exact_when_nothing_is_on_its_way_any_more() -> None:
    network, stage = networked()
    job_hash = run(network, stage)
    assert stage.state(job_hash) is State.RELEASED
    assert stage.totals(job_hash) == reference(stage, stage.job())


def test_every_frame_passes_the_link_once_in_both_directions() -> None:
    seen: list[tuple[str, str, str]] = []

    def link(way: str, party: str, frame: m.Frame) -> m.Frame:
        seen.append((way, party, frame.signed.domain))
        return frame

    network, stage = networked(link)
    run(network, stage)
    bundle = ("out", "bundle")  # two at a time: the next round's keys travel beside this one's numbers
    agreed = [bundle, bundle, ("in", "consent"), ("in", "shares"), bundle, bundle, ("in", "unmask"), bundle]
    for party in THREE:
        ways = [(way, domain.split("/")[1]) for way, who, domain in seen if who == party]
        assert ways == [
            ("out", "offer"),
            ("in", "verdict"),
            ("in", "advert"),
            ("out", "bundle"),
            ("in", "shares"),
            ("out", "bundle"),
            ("in", "head"),
            ("in", "advert"),
            *agreed,
            ("in", "head"),
            ("in", "advert"),
            *agreed,
            ("in", "attestation"),
            ("out", "ended"),
        ]


def test_a_link_that_loses_a_frame_leaves_the_job_waiting_for_its_party() -> None:
    network, stage = networked(lambda way, party, frame: None if (way, party) == ("in", "macao") else frame)
    job_hash = run(network, stage)
    assert stage.state(job_hash) is State.UNDER_REVIEW
    network.link = honest
    network.connect("macao")
    assert stage.state(job_hash) is State.RELEASED


def test_who_is_not_connected_gets_nothing() -> None:
    stage = Stage()
    network = Network(stage.coordinator, stage.jurisdictions)
    stage.attend()  # the publications are known to the coordinator
    job = stage.job()
    for party in THREE:
        stage.hang_up(party)
    network.connect("guangdong")
    job_hash, outgoing = network.coordinator.submit(signed(people()["ana"], m.JOB, job), NOW_MS, "ana")
    network.sent(outgoing)
    network.settle()
    assert set(network.coordinator.connected) == {"guangdong"}
    assert not stage.jurisdictions["macao"]._entries
    for party in ("hongkong", "macao"):
        network.connect(party)
    assert stage.state(job_hash) is State.RELEASED


def test_what_closes_a_line_in_a_federation_is_an_error_of_this_process() -> None:
    network, stage = networked(
        lambda way, _party, frame: frame if way == "in" else m.Frame(frame.signed, frame.parts, b"", 0)
    )
    job_hash = run(network, stage)
    assert stage.state(job_hash) is State.RELEASED, "labels outside of the signed bytes do not matter to a party"
    network.link = lambda way, _party, frame: (
        frame if way == "in" else m.Frame(m.Signed(frame.signed.body, b"", b"", frame.signed.domain))
    )
    with pytest.raises(ProtocolViolation, match="a member's signature"):
        network.connect("macao") or run_again(network, stage)


def run_again(network: Network, stage: Stage) -> None:
    job = stage.job(token=b"u" * 16)
    _, outgoing = network.coordinator.submit(signed(people()["ana"], m.JOB, job), NOW_MS, "ana")
    network.sent(outgoing)
    network.settle()

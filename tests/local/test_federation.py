"""`fed.local`: all programs in this process, with the same signatures, machines and checks as daemons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clients.local import federation as local_federation
from clients.local.federation import COORDINATOR, RESEARCHER, LocalTransport, federation_of, local
from clients.researcher.session import Session
from clients.researcher.verified import JobRefused
from federation.coordinator.store import MemoryStore
from federation.errors import JobFailed, Misuse, ProtocolViolation, Refused, Unavailable
from federation.identity import roster_file
from federation.policy.rule import Settings
from federation.protocols.events import Release
from federation.protocols.masked_sum.messages import Head
from federation.protocols.setup import chunked
from federation.query.query import SumQuery
from federation.wire import convert
from federation.wire import messages as m

PARTIES = ("guangdong", "hongkong", "macao")


def frames(rows: int = 60) -> dict[str, pd.DataFrame]:
    made = {}
    for seed, party in enumerate(PARTIES):
        draw = np.random.default_rng(seed)
        made[party] = pd.DataFrame(
            {"x": draw.integers(-50, 50, rows), "y": draw.normal(size=rows), "s": draw.choice(["a", "b"], rows)}
        )
    return made


@pytest.fixture(scope="module")
def pooled() -> pd.DataFrame:
    return pd.concat(frames().values())


@pytest.fixture(scope="module")
def session() -> Session:
    return local(frames())


def test_answers_are_those_of_the_pooled_rows(session: Session, pooled: pd.DataFrame) -> None:
    table = session.table("data")
    assert table.count().value == len(pooled)
    assert table.sum("x").value == pooled["x"].sum()
    assert table.mean("y").value == pytest.approx(pooled["y"].mean(), rel=1e-12)
    assert table.var("x").value == pytest.approx(pooled["x"].var(), rel=1e-12)
    assert table.where("x > 5 and s == 'a'").sum("x").value == pooled[(pooled.x > 5) & (pooled.s == "a")]["x"].sum()
    by = table.sum("x", by="s").to_dict()
    assert str(pooled[pooled.s == "a"]["x"].sum()) in str(by)


def test_the_policy_is_open_and_nothing_is_withheld(session: Session) -> None:
    table = session.table("data", purpose="anything")
    assert table.where("x == 49").count().value is not None, "cells of one party open: k = 1 and own figures"


def test_a_policy_and_a_k_are_kept_like_those_of_daemons() -> None:
    strict = local(frames(), policy=Settings(purposes=("health",)), k=10, own_figures=False)
    with pytest.raises(JobRefused) as caught:
        strict.table("data").count()
    assert {blame.party for blame in caught.value.blames} == set(PARTIES)
    health = strict.table("data", purpose="health")
    assert health.count().value == 180
    with pytest.raises(Refused):
        health.where("x == 49").count()


@pytest.mark.parametrize("names", [(), ("guangdong",), ("guangdong", "macao")])
def test_fewer_than_three_parties_are_misuse(names: tuple[str, ...]) -> None:
    with pytest.raises(Misuse, match="at least 3 parties"):
        local({name: frames()["macao"] for name in names})


@pytest.mark.parametrize("taken", [RESEARCHER, COORDINATOR])
def test_a_party_cannot_have_another_members_name(taken: str) -> None:
    with pytest.raises(Misuse, match="another member has this name"):
        local({taken: frames()["macao"], **frames()})


def test_a_name_that_no_member_can_have_is_misuse() -> None:
    with pytest.raises(Misuse):
        local({"Hong Kong": frames()["hongkong"], **frames()})


def test_everybody_signed_the_roster_and_every_result_has_all_signatures(session: Session) -> None:
    transport = session._transport
    assert isinstance(transport, LocalTransport)
    roster_file.in_force(transport.roster)
    result = session.table("data").count()
    assert set(result.receipt.signed_by) == set(PARTIES)


def transport_with(link: object) -> LocalTransport:
    return federation_of(frames(), link=link)  # type: ignore[arg-type]


def test_a_lying_coordinator_is_named_to_the_researcher() -> None:
    """The link signs nothing: it swaps two parties' chunks, as a relay could."""

    def link(way: str, _party: str, frame: m.Frame) -> m.Frame:
        if way == "out" and frame.signed.domain == m.BUNDLE and len(frame.parts) == 3:
            first, second, third = frame.parts
            return m.Frame(frame.signed, (second, first, third), frame.job_hash, frame.round_index)
        return frame

    with pytest.raises(ProtocolViolation) as caught:
        Session(transport_with(link)).table("data").sum("x")
    assert caught.value.party == COORDINATOR
    assert "says: coordinator broke the protocol" in str(caught.value)


def test_a_coordinator_that_hands_the_researcher_another_total_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = federation_of(frames())
    honest = transport.network.coordinator.released

    def forged(job_hash: bytes, researcher: str) -> tuple[tuple[Release, ...], tuple[m.Signed, ...]]:
        (first, *others), attestations = honest(job_hash, researcher)
        return (replace(first, chunks=chunked(bytes([first.total[0] ^ 1]) + first.total[1:])), *others), attestations

    monkeypatch.setattr(transport.network.coordinator, "released", forged)
    with pytest.raises(ProtocolViolation, match="other totals") as caught:
        Session(transport).table("data").count()
    assert caught.value.party == COORDINATOR


def test_a_party_that_falls_silent_is_named_and_nothing_waits() -> None:
    transport = transport_with(
        lambda way, party, f: None if (way, party, f.signed.domain) == ("in", "macao", m.ATTESTATION) else f
    )
    with pytest.raises(Unavailable) as caught:
        Session(transport).table("data").count()
    assert caught.value.party == "macao"


def frames_in(store: MemoryStore) -> list[m.Frame]:
    """Every frame that the coordinator wrote down."""
    (job_hash,) = store.jobs()
    return [convert.frame_of(payload) for kind, payload in store.events(job_hash) if kind == "frame"]


def test_the_event_log_of_a_local_federation_holds_no_number_of_a_party() -> None:
    store = MemoryStore()
    transport = federation_of(frames(), store=store)
    Session(transport).table("data").sum("x")
    parts = [part for frame in frames_in(store) for part in frame.parts]
    assert sum(frame.signed.domain == Head.domain for frame in frames_in(store)) == 3
    assert len(parts) >= 3 + 3 * 2, "vectors, and the boxes of shares"
    for party, rows in frames().items():
        total = int(rows["x"].sum())
        for encoded in (total.to_bytes(16, "little", signed=True), len(rows).to_bytes(16, "little")):
            assert not any(encoded in part for part in parts), party
    assert transport.network.coordinator.counts() == (0, 1)


def test_two_runs_send_different_masked_words_and_open_the_same_totals() -> None:
    stores = [MemoryStore(), MemoryStore()]
    values = [Session(federation_of(frames(), store=store)).table("data").sum("x").value for store in stores]
    assert values[0] == values[1]
    parts = [
        {
            part
            for job in store.jobs()
            for kind, p in store.events(job)
            if kind == "frame"
            for part in convert.frame_of(p).parts
        }
        for store in stores
    ]
    assert not parts[0] & parts[1]


def test_closing_lets_go_of_every_engine() -> None:
    session = local(frames())
    transport = session._transport
    assert isinstance(transport, LocalTransport)
    session.close()
    for party in PARTIES:
        desk = transport.network.jurisdictions[party]._desk
        with pytest.raises(JobFailed):
            desk.engines["data"].sums((SumQuery(dataset="data"),), desk.published["data"])


def test_the_table_is_called_data_and_nobody_elses_rows_are_described(session: Session) -> None:
    assert session.datasets() == (local_federation.TABLE,)
    assert session.table("data").parties == PARTIES

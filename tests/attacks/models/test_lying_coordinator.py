"""A coordinator that lies about a training: a false total, a false model, rounds in another order, no evaluation.

It is trusted with nothing but being there. Parties add up what they open, and the researcher replays what they signed:
every lie ends with the coordinator's name, and each has a planted fault, a member that does not look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from clients.local.federation import COORDINATOR
from clients.researcher import training as asking
from clients.researcher import verified
from clients.researcher.training import Training
from federation.crypto import ring
from federation.crypto.chunk_hash import chunk_hash
from federation.errors import FederationError, ProtocolViolation
from federation.jobs import training as course
from federation.jobs.training import Progress
from federation.ledger import merkle
from federation.protocols.events import Release
from federation.protocols.masked_sum import checking
from federation.protocols.masked_sum.messages import Opening
from federation.protocols.setup import chunked
from federation.training import checkpoint
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import Signer, signed
from tests.attacks.models.stage import Played, frames, played

pytest.importorskip("torch")


def small(**more: Any) -> Played:
    return played(frames(60, 3), **more)


# --- a false total ----------------------------------------------------------------------------------------------------


@dataclass
class FalseTotals:
    """A relay that opens another total of one sum, under its own signature, to everybody or to one party."""

    index: int
    victims: tuple[str, ...] = ()
    stage: Played | None = None
    lies: list[str] = field(default_factory=list)
    root: bytes = b""

    def __call__(self, way: str, party: str, frame: m.Frame) -> m.Frame:
        if way == "in" or frame.signed.domain != m.BUNDLE or self.stage is None:
            return frame
        bundle = convert.bundle_of(frame.signed.body)
        if bundle.round_index != self.index or (self.victims and party not in self.victims):
            return frame
        last = bundle.messages[-1]
        if last.domain != Opening.domain:
            return self.framed(replace(bundle, total_digest=self.root), frame.parts) if party in self.lies else frame
        self.lies.append(party)
        said = convert.BODIES[Opening.domain].decode(last.body)
        assert isinstance(said, Opening)
        own, parts = bundle.chunk_counts[-1], list(frame.parts)
        if own:
            words = np.frombuffer(b"".join(parts[-own:]), "<u8").copy()
            words[0] += np.uint64(1)  # one step of one entry,
            words[-2] += np.uint64(1)  # and the low word of the check element with it
            parts[-own:] = chunked(words.tobytes())
            self.root = merkle.root([chunk_hash(part) for part in parts[-own:]])
        else:
            self.root = bytes(32)
        message = signed(self.me, Opening.domain, replace(said, total_root=self.root))
        lied = replace(bundle, messages=(*bundle.messages[:-1], message), total_digest=self.root)
        return self.framed(lied, parts)

    @property
    def me(self) -> Signer:
        assert self.stage is not None
        return self.stage.transport.network.coordinator._me

    def framed(self, bundle: m.Bundle, parts: Sequence[bytes]) -> m.Frame:
        envelope = signed(self.me, m.BUNDLE, bundle)
        return m.Frame(envelope, tuple(parts), bundle.job_hash, bundle.round_index, bundle.attempt)


def lied_to(relay: FalseTotals) -> tuple[Played, Training]:
    stage = small(link=relay)
    relay.stage = stage
    return stage, stage.train()


@pytest.mark.parametrize("index", [1, 2], ids=["update", "evaluation"])
@pytest.mark.parametrize("victims", [(), ("macao",)], ids=["everybody", "one party"])
def test_a_false_total_is_noticed_by_every_party_that_adds_up(index: int, victims: tuple[str, ...]) -> None:
    relay = FalseTotals(index, victims)
    stage, asked = lied_to(relay)
    with pytest.raises(ProtocolViolation, match="total") as caught:
        asked.result()
    assert relay.lies
    assert caught.value.party == COORDINATOR
    assert "vectors add up to" in str(caught.value)
    assert stage.opened(asked) <= index + 1, "nothing follows"


def test_a_false_total_that_is_checked_by_lot_is_noticed_where_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long updates are sampled; of this one chunk every party draws all there is."""
    monkeypatch.setattr(course, "ALL_BYTES", 0)
    relay = FalseTotals(1, ("macao",))
    _, asked = lied_to(relay)
    with pytest.raises(ProtocolViolation, match="vectors add up to") as caught:
        asked.result()
    assert relay.lies == ["macao"]
    assert caught.value.party == COORDINATOR
    assert "macao says" in str(caught.value)


def test_a_false_total_that_nobody_draws_spoils_the_next_sum_and_opens_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The planted fault is a party whose lot drew other chunks: its model differs, and so does all that it says."""
    monkeypatch.setattr(course, "ALL_BYTES", 0)
    monkeypatch.setattr(
        checking,
        "sampled",
        lambda known, claimed, _parcels, _relay: Release(
            chunks=claimed.chunks, parties=known.counted, root=claimed.root
        ),
    )
    relay = FalseTotals(1, ("macao",))
    stage, asked = lied_to(relay)
    with pytest.raises(ProtocolViolation, match="a head for this spec, got one for another spec"):
        asked.result()
    assert relay.lies == ["macao"]
    assert stage.opened(asked) == 2, "the update that was lied about, and no evaluation"


# --- a false model ----------------------------------------------------------------------------------------------------


def trained(stage: Played, **more: Any) -> Training:
    """Three rounds of which the second is best, by what the plan calls better."""
    return stage.train(options={"rounds": 3, "lr": 8.0, "clip": 2.0}, **more)


def one_bit(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def of_another_job(stage: Played) -> Callable[[bytes], bytes]:
    other = trained(stage, seed=99)
    file = stage.transport.network.coordinator.model(other.handle.job_hash, "researcher", best=True)()
    return lambda _data: file


FILES: dict[str, Callable[[Played], Callable[[bytes], bytes]]] = {
    "one bit": lambda _stage: one_bit,
    "another job's": of_another_job,
    "half": lambda _stage: lambda data: data[: len(data) // 2],
    "nothing": lambda _stage: lambda _data: b"",
    "a pickle": lambda _stage: lambda _data: b"\x80\x04}q\x00.",
}


@pytest.mark.parametrize("name", FILES)
def test_another_file_than_the_parties_signed_is_the_coordinators_doing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = small()
    asked = trained(stage)
    false, honest = FILES[name](stage), stage.transport.network.coordinator.model
    monkeypatch.setattr(
        stage.transport.network.coordinator,
        "model",
        lambda job_hash, researcher, *, best: lambda: false(honest(job_hash, researcher, best=best)()),
    )
    with pytest.raises(ProtocolViolation, match="that all parties signed") as caught:
        asked.result()
    assert caught.value.party == COORDINATOR


def test_the_last_model_is_not_taken_for_the_best_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = small()
    asked = stage.train(options={"rounds": 6, "lr": 8.0, "clip": 2.0})
    best, last = asked.result(best=True), asked.result(best=False)
    assert best.round_index != last.round_index, "this training was best before its end"
    honest = stage.transport.network.coordinator.model
    monkeypatch.setattr(
        stage.transport.network.coordinator,
        "model",
        lambda job_hash, researcher, *, best: honest(job_hash, researcher, best=not best),
    )
    for wanted in (True, False):
        with pytest.raises(ProtocolViolation, match="that all parties signed"):
            asked.result(best=wanted)


def test_a_researcher_that_does_not_hash_would_take_any_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault."""
    stage = small()
    asked = trained(stage)
    false, honest = of_another_job(stage), stage.transport.network.coordinator.model
    monkeypatch.setattr(
        stage.transport.network.coordinator,
        "model",
        lambda job_hash, researcher, *, best: lambda: false(honest(job_hash, researcher, best=best)()),
    )
    monkeypatch.setattr(asking, "checked", lambda data, course, _index, **_: checkpoint.of(data, course.chosen.layout))
    assert asked.result().model.size == 5


# --- false rounds -----------------------------------------------------------------------------------------------------

Told = Sequence[Release]


def better_figures(told: Told) -> Told:
    numbers = list(told[2].numbers)
    numbers[1] //= 2  # half the loss
    return [*told[:2], replace(told[2], chunks=chunked(ring.to_bytes(ring.from_ints(numbers)))), *told[3:]]


def another_weight(told: Told) -> Told:
    total = told[1].total
    return [told[0], replace(told[1], chunks=chunked(total[:47] + bytes([total[47] ^ 1]) + total[48:])), *told[2:]]


def another_hash(told: Told) -> Told:
    return [*told[:5], replace(told[5], chunks=chunked(told[5].total[:48] + bytes(32))), *told[6:]]


ROUNDS: dict[str, Callable[[Told], Told]] = {
    "two rounds in each other's place": lambda told: [told[0], *told[3:5], *told[1:3], *told[5:]],
    "two evaluations in each other's place": lambda told: [*told[:2], told[4], told[3], told[2], *told[5:]],
    "an evaluation before its update": lambda told: [told[0], told[2], told[1], *told[3:]],
    "no last evaluation": lambda told: told[:-1],
    "no evaluation in the middle": lambda told: [*told[:2], *told[3:]],
    "no last round": lambda told: told[:-2],
    "one round twice": lambda told: [*told, *told[-2:]],
    "better figures": better_figures,
    "another weight": another_weight,
    "another model's hash": another_hash,
    "fewer parties": lambda told: [*told[:5], *(replace(one, parties=one.parties[:2]) for one in told[5:])],
    "nothing": lambda _told: [],
}


def telling(stage: Played, lie: Callable[[Told], Told], monkeypatch: pytest.MonkeyPatch) -> None:
    honest = stage.transport.network.coordinator.released

    def released(job_hash: bytes, researcher: str) -> tuple[tuple[Release, ...], tuple[m.Signed, ...]]:
        told, attestations = honest(job_hash, researcher)
        return tuple(lie(told)), attestations

    monkeypatch.setattr(stage.transport.network.coordinator, "released", released)


def showing(stage: Played, lie: Callable[[Told], Told], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same while it runs."""
    honest = stage.transport.network.coordinator.opened
    monkeypatch.setattr(
        stage.transport.network.coordinator,
        "opened",
        lambda job_hash, researcher: tuple(lie(honest(job_hash, researcher))),
    )


@pytest.mark.parametrize("name", ROUNDS)
def test_rounds_that_nobody_signed_end_with_the_coordinators_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = small()
    asked = trained(stage)
    telling(stage, ROUNDS[name], monkeypatch)
    with pytest.raises(FederationError) as caught:
        asked.result()
    assert isinstance(caught.value, ProtocolViolation)
    assert caught.value.party == COORDINATOR


def test_a_researcher_that_compares_no_transcript_would_believe_better_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault."""
    stage = small()
    asked = trained(stage)
    honest = asked.result()
    telling(stage, better_figures, monkeypatch)
    showing(stage, better_figures, monkeypatch)
    monkeypatch.setattr(verified.hmac, "compare_digest", lambda _a, _b: True)
    found = Training(asked.handle).result(best=False)
    assert found.history[0].figures is not None
    assert honest.history[0].figures is not None
    assert found.history[0].figures.loss < honest.history[0].figures.loss


def test_what_was_shown_while_it_ran_is_held_against_what_was_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training is watched live, by the coordinator's word; a result never repeats what turned out false."""
    stage = small()
    asked = trained(stage)
    showing(stage, better_figures, monkeypatch)
    shown: list[Progress] = [one.progress for one in asked.watch()]
    with pytest.raises(ProtocolViolation, match="figures that all parties signed") as caught:
        asked.result()
    assert caught.value.party == COORDINATOR
    assert shown[0].figures is not None

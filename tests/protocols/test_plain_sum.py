"""Sums in the clear: exact, signed and counted as any other, and refused unless an operator permits them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from federation import registry
from federation.errors import ProtocolViolation
from federation.protocols.events import (
    Abort,
    Attested,
    Begin,
    Broadcast,
    Contribute,
    DeadlinePassed,
    Delivered,
    Message,
    Opened,
    Parcel,
    Received,
    Release,
    Send,
    SpecKnown,
    Withdraw,
)
from federation.protocols.plain_sum import PlainSum
from federation.protocols.plain_sum.messages import Present, Total, Vector
from federation.protocols.secure_sum import SecureSum
from federation.protocols.setup import Check, Setup, Spec
from tests.protocols.cohort import names, setup_of

RELAY = "relay"


class Story:
    """Parties and an aggregator in one place; what the aggregator says passes through `told`."""

    def __init__(self, setup: Setup, length: int, told: Callable[[Broadcast], Broadcast] = lambda said: said) -> None:
        self.setup, self.told = setup, told
        self.spec = Spec(
            setup=setup,
            round_digest=b"r" * 32,
            transcript_hash=b"t" * 32,
            length=length,
            ring="z2^64",
            encoding=b"e" * 32,
            check=Check.SAMPLE,
        )
        self.parties = {name: PlainSum.party() for name in setup.parties}
        self.aggregator = PlainSum.aggregator()
        self.released: dict[str, Release] = {}
        self.blames: list[Any] = []
        self.numbers = 0
        self.serve(Opened(setup=setup, coordinator=RELAY))
        self.serve(SpecKnown(spec=self.spec))

    def parcel(self, sender: str, send: Send) -> Parcel:
        self.numbers += 1
        message: Attested[Message] = Attested(
            sender=sender, value=send.message, digest=repr(send.message).encode().ljust(32)[-32:]
        )
        return Parcel(message=message, chunks=send.chunks)

    def serve(self, event: Any) -> None:
        transition = PlainSum.aggregator_step(self.aggregator, event)
        self.aggregator = transition.state
        for effect in transition.effects:
            match effect:
                case Broadcast():
                    said = self.told(effect)
                    extra = () if said.statement is None else (self.parcel(RELAY, said.statement),)
                    for name in self.parties:
                        self.step(name, Delivered(parcels=(*said.parcels, *extra)))
                case Release():
                    self.released[RELAY] = effect
                case Abort(blames=blames):
                    self.blames += blames

    def step(self, name: str, event: Any) -> None:
        transition = PlainSum.party_step(self.parties[name], event)
        self.parties[name] = transition.state
        for effect in transition.effects:
            match effect:
                case Send():
                    self.serve(Received(parcel=self.parcel(name, effect)))
                case Release():
                    self.released[name] = effect

    def begin(self, *without: str) -> None:
        for name in self.setup.parties:
            if name not in without:
                self.step(name, Begin(setup=self.setup, me=name, coordinator=RELAY, entropy=bytes(32)))

    def contribute(self, *without: str) -> None:
        for number, name in enumerate(self.setup.parties):
            if name not in without:
                vector = np.full(self.spec.length, 10**number, dtype="<u8").tobytes()
                self.step(name, Contribute(spec=self.spec, vector=vector, number=1))

    def sums(self) -> set[tuple[int, tuple[str, ...]]]:
        return {(int(np.frombuffer(one.total, "<u8")[-1]), one.parties) for one in self.released.values()}


def test_a_plain_sum_is_found_by_its_name() -> None:
    assert registry.look_up("federation.protocols", SecureSum, "plain_sum") is PlainSum


@pytest.mark.parametrize("length", [1, 40_000])
def test_everybody_gets_the_sum_of_all(length: int) -> None:
    story = Story(setup_of(3), length)
    story.begin()
    story.contribute()
    assert story.sums() == {(111, names(3))}
    assert len(story.released) == 4
    assert all(state.ended for state in story.parties.values())


def test_a_sum_goes_on_without_those_who_do_not_deliver_if_enough_are_there() -> None:
    setup = replace(setup_of(5), least=4)
    story, (lost, *_) = Story(setup, 3), setup.parties
    story.begin()
    story.contribute(lost)
    assert not story.released
    story.serve(DeadlinePassed())
    assert story.sums() == {(11110, setup.parties[1:])}
    assert lost not in story.released, "who is not counted takes nothing"


def test_too_few_end_it_by_name() -> None:
    story = Story(setup_of(3), 3)
    story.begin()
    story.contribute("p2")
    story.serve(DeadlinePassed())
    assert [blame.party for blame in story.blames] == ["p2"]


def altered(change: Callable[[Total, tuple[bytes, ...]], tuple[Total, tuple[bytes, ...]]]) -> Any:
    def told(said: Broadcast) -> Broadcast:
        if said.statement is None or not isinstance(said.statement.message, Total):
            return said
        message, chunks = change(said.statement.message, said.statement.chunks)
        return replace(said, statement=Send(message=message, chunks=chunks))

    return told


@pytest.mark.parametrize(
    "change",
    [
        lambda total, chunks: (total, (bytes(len(chunks[0])), *chunks[1:])),
        lambda total, chunks: (replace(total, list_hash=b"x" * 32), chunks),
        lambda total, chunks: (replace(total, spec_hash=b"x" * 32), chunks),
        lambda total, chunks: (total, chunks[:-1]),
    ],
    ids=["other bytes", "another list", "another spec", "a chunk less"],
)
def test_a_total_that_is_not_what_was_signed_is_the_coordinators_doing(change: Any) -> None:
    story = Story(setup_of(3), 40_000, altered(change))
    story.begin()
    with pytest.raises(ProtocolViolation) as caught:
        story.contribute()
    assert caught.value.party == RELAY


def test_a_vector_of_another_model_names_its_sender() -> None:
    story = Story(setup_of(3), 3)
    story.begin()
    other = replace(story.spec, round_digest=b"another" + bytes(25))
    with pytest.raises(ProtocolViolation, match="another model") as caught:
        story.step("p1", Contribute(spec=other, vector=bytes(24), number=1))
    assert caught.value.party == "p1"


def test_a_second_vector_and_strange_chunks_are_violations() -> None:
    story = Story(setup_of(3), 3)
    story.begin()
    story.contribute("p1", "p2")
    said = Vector(spec_hash=story.spec.hash, party="p0", chunk_root=bytes(32), number=2)
    for sender in ("p0", "p1"):
        with pytest.raises(ProtocolViolation) as caught:
            story.serve(
                Received(parcel=story.parcel(sender, Send(message=replace(said, party=sender), chunks=(b"x",))))
            )
        assert caught.value.party == sender


def test_a_word_for_another_setup_is_a_violation_and_a_resend_is_none() -> None:
    story = Story(setup_of(3), 3)
    word = Send(message=Present(setup_hash=story.setup.hash, party="p0"))
    story.serve(Received(parcel=story.parcel("p0", word)))
    story.serve(Received(parcel=story.parcel("p0", word)))
    strange = story.parcel("p1", Send(message=Present(setup_hash=bytes(32), party="p1")))
    with pytest.raises(ProtocolViolation) as caught:
        story.serve(Received(parcel=strange))
    assert caught.value.party == "p1"


def test_who_withdrew_sends_nothing_more() -> None:
    story = Story(setup_of(3), 3)
    story.step("p0", Begin(setup=story.setup, me="p0", coordinator=RELAY, entropy=bytes(32)))
    transition = PlainSum.party_step(story.parties["p0"], Withdraw())
    assert transition.state.ended
    assert [type(effect).__name__ for effect in transition.effects] == ["Send"]
    after = PlainSum.party_step(transition.state, Contribute(spec=story.spec, vector=bytes(24), number=1))
    assert not after.effects

"""One secure sum at the coordinator: the aggregator's machine, and the signed bundles that follow from its effects.

It keeps what a party that comes back may lack: every bundle of the sum, in order, as it was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from federation.coordinator.spool import MemorySpool, Parts, Spool
from federation.domain.job import Blame
from federation.errors import ProtocolViolation
from federation.protocols.events import (
    Abort,
    AggregatorEffect,
    AggregatorEvent,
    Attested,
    Broadcast,
    DeadlinePassed,
    Deliver,
    Message,
    Opened,
    Parcel,
    Received,
    Release,
    Send,
    SpecKnown,
)
from federation.protocols.secure_sum import Awaits, SecureSum, State
from federation.protocols.setup import Setup, Spec
from federation.wire import messages as m
from federation.wire.envelope import Opened as OpenedMessage
from federation.wire.envelope import Signer, digest_of, signed


class Sum:
    """One attempt at one secure sum.

    Args:
        protocol: the job's secure sum.
        setup: who sums.
        me: the coordinator, who signs bundles.
        joint: the joint key that the setup names, as its bytes; b"" for sums without one.
        spool: where a long total rests, before anything follows from it.
    """

    def __init__(
        self, protocol: type[SecureSum], setup: Setup, me: Signer, joint: bytes = b"", spool: Spool | None = None
    ) -> None:
        self.setup = setup
        self.total: Release | None = None
        self.aborted: tuple[Blame, ...] = ()
        self.vector_bytes = 0  # of one party, once it is known what is summed
        self._protocol, self._me, self._spool = protocol, me, spool or MemorySpool()
        self._state: State = protocol.aggregator()
        self._round_digest = self._total_digest = b""
        self._envelopes: dict[bytes, m.Signed] = {}
        self._frames: dict[str, list[m.Frame]] = {party: [] for party in setup.parties}
        self._withdrawn: dict[str, Parcel] = {}
        self._proofs: list[m.Frame] = []  # that earlier attempts, and this one, were withdrawn
        self._recalled: m.Frame | None = None
        self._step(Opened(setup=setup, coordinator=me.member.name, joint=joint))

    @property
    def awaits(self) -> Awaits:
        """What the sum waits for; after a recall, those who have not withdrawn yet."""
        if not self.recalled:
            return self._state.awaits
        silent = tuple(party for party in self.setup.parties if party not in self._withdrawn)
        return replace(self._state.awaits, of=silent)

    @property
    def recalled(self) -> bool:
        """Whether everybody was asked to withdraw this attempt; it is not opened any more then."""
        return self._recalled is not None

    def adopt(self, older: Sum) -> None:
        """Take the place of an attempt that was withdrawn: who comes back has to see that first."""
        for party, frames in self._frames.items():
            frames[:0] = [frame for frame in older._frames.get(party, []) if frame in older._proofs]
        self._proofs = list(older._proofs)

    def frames(self, party: str) -> list[m.Frame]:
        """Return every bundle that `party` has to have, in order."""
        recalled = [] if self._recalled is None else [self._recalled]
        return self._frames.get(party, []) + recalled

    def specified(self, spec: Spec) -> None:
        """Say what is summed, now that it is known."""
        self._round_digest = spec.round_digest
        self.vector_bytes = spec.size_bytes
        self._step(SpecKnown(spec=spec))

    def receive(self, message: OpenedMessage[object], frame: m.Frame) -> dict[str, list[m.Frame]]:
        """Return what to send to whom after a party's message; `total` is set when the sum is open.

        Raises:
            ProtocolViolation: the message is not what an honest party would have sent now.
        """
        if not isinstance(message.value, self._protocol.messages):
            raise ProtocolViolation(
                message.sender, phase="secure sum", expected="a message of the job's protocol", got="another message"
            )
        parcel = Parcel(
            message=Attested(sender=message.sender, value=message.value, digest=message.digest), chunks=frame.parts
        )
        if isinstance(message.value, self._protocol.withdrawal):
            return self._withdraw(parcel, frame.signed)
        if self.recalled:
            return {}
        self._envelopes[message.digest] = frame.signed
        return self._step(Received(parcel=parcel))

    def go_on(self) -> dict[str, list[m.Frame]]:
        """Wait no longer: go on with those who are there. Raises ProtocolViolation as the machine does."""
        return self._step(DeadlinePassed())

    def give_up(self) -> None:
        """Wait no longer, also for too few. Raises ProtocolViolation if somebody is to blame for more than silence."""
        if not self.awaits.enough:
            self._step(DeadlinePassed())

    def recall(self) -> dict[str, list[m.Frame]]:
        """Ask everybody to withdraw this attempt; once enough did, `withdrawn` is true and a new one may begin."""
        if self._recalled is not None:
            return {}
        recall = m.Recall(job_hash=self.setup.job_hash, round_index=self.setup.round_index, attempt=self.setup.attempt)
        self._recalled = self._frame(signed(self._me, m.RECALL, recall), ())
        return {party: [self._recalled] for party in self.setup.parties}

    @property
    def withdrawn(self) -> bool:
        """Whether so many parties have withdrawn that nobody can open this attempt any more."""
        return len(self._withdrawn) >= self.setup.withdrawals

    def _withdraw(self, parcel: Parcel, envelope: m.Signed) -> dict[str, list[m.Frame]]:
        self._protocol.check_withdrawal(self.setup, parcel, parcel.message.sender)
        if self._recalled is None or self.withdrawn:
            return {}
        self._envelopes[parcel.message.digest] = envelope
        self._withdrawn[parcel.message.sender] = parcel
        if len(self._withdrawn) < self.setup.withdrawals:
            return {}
        frame = self._bundle(tuple(self._withdrawn.values()))
        self._proofs.append(frame)
        for frames in self._frames.values():
            frames.append(frame)
        return {party: [frame] for party in self._frames}

    def _step(self, event: AggregatorEvent) -> dict[str, list[m.Frame]]:
        transition = self._protocol.aggregator_step(self._state, event)
        self._state, effects = transition.state, transition.effects
        if any(isinstance(effect, Release) for effect in effects):
            effects = _out_of_memory(effects, self._spool)
            del transition  # the last that holds the total itself
            self._spool.relieve(self.vector_bytes)
        for effect in effects:
            if isinstance(effect, Release):
                self.total, self._total_digest = effect, effect.digest
            elif isinstance(effect, Abort):
                self.aborted = effect.blames
        out: dict[str, list[m.Frame]] = {}
        for effect in effects:
            match effect:
                case Broadcast(parcels=parcels, statement=statement):
                    if statement is not None:
                        parcels = (*parcels, self._said(statement.message, statement.chunks))
                    frame = self._bundle(parcels)
                    for party in self._frames:
                        out.setdefault(party, []).append(frame)
                case Deliver(to=party, parcels=parcels):
                    out.setdefault(party, []).append(self._bundle(parcels))
        for party, frames in out.items():
            self._frames[party] += frames
        return out

    def _said(self, message: Message, chunks: Parts) -> Parcel:
        """Sign what the coordinator itself says in a bundle."""
        envelope = signed(self._me, message.domain, message)
        digest = digest_of(envelope)
        self._envelopes[digest] = envelope
        return Parcel(message=Attested(sender=self._me.member.name, value=message, digest=digest), chunks=chunks)

    def _bundle(self, parcels: Sequence[Parcel]) -> m.Frame:
        bundle = m.Bundle(
            job_hash=self.setup.job_hash,
            round_index=self.setup.round_index,
            attempt=self.setup.attempt,
            round_digest=self._round_digest,
            total_digest=self._total_digest,
            messages=tuple(self._envelopes[parcel.message.digest] for parcel in parcels),
            chunk_counts=tuple(len(parcel.chunks) for parcel in parcels),
        )
        long = [parcel.chunks for parcel in parcels if parcel.chunks]
        parts = long[0] if len(long) == 1 else tuple(chunk for chunks in long for chunk in chunks)
        return self._frame(signed(self._me, m.BUNDLE, bundle), parts)

    def _frame(self, envelope: m.Signed, parts: Parts) -> m.Frame:
        setup = self.setup
        return m.Frame(envelope, parts, setup.job_hash, setup.round_index, setup.attempt)


def _out_of_memory(effects: Sequence[AggregatorEffect], spool: Spool) -> tuple[AggregatorEffect, ...]:
    """Return the effects of a sum that is open, its total wherever the spool has it: once, for all who speak of it."""
    (release,) = (effect for effect in effects if isinstance(effect, Release))
    total = spool.rested(release.chunks)
    found: list[AggregatorEffect] = []
    for effect in effects:
        match effect:
            case Release():
                found.append(replace(effect, chunks=total))
            case Broadcast(statement=Send(chunks=chunks) as said) if chunks is release.chunks:
                found.append(replace(effect, statement=replace(said, chunks=total)))
            case _:
                found.append(effect)
    return tuple(found)

"""The aggregator's machine of a sum under a joint key: it forwards, and finds out first who breaks the protocol.

    Vacant --Opened--> Gathering --readies--> Collecting --ciphers--> Decrypting --partials--> Finished
    --Stopped, DeadlinePassed--> Aborted: nobody may be missing

It checks all that a party will check again, so that who breaks the protocol is named at once, by the one member who had
the message from its sender: ciphertexts when they come, while others still encrypt, and the proofs of all answers
together, which is one long power instead of many. A message that comes again is ignored; a second different one is a
violation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeAlias

from federation.crypto.paillier.threshold import JointKey
from federation.errors import Misuse, ProtocolViolation
from federation.protocols.bundles import spoken
from federation.protocols.events import (
    Abort,
    AggregatorEvent,
    Broadcast,
    DeadlinePassed,
    Message,
    Opened,
    Parcel,
    Received,
    SpecKnown,
    Stopped,
)
from federation.protocols.machine import Transition
from federation.protocols.paillier_sum import checking, checks
from federation.protocols.paillier_sum.checking import Collected
from federation.protocols.paillier_sum.messages import Cipher, Partial, Ready
from federation.protocols.paillier_sum.terms import Terms, joint_key
from federation.protocols.secure_sum import Aborted, AggregatorTransition, Awaits, State
from federation.protocols.setup import Setup, Spec
from federation.protocols.states import COORDINATOR, Vacant, out_of_place

Columns: TypeAlias = Mapping[str, Sequence[int]]  # numbers by sender
ORDER: tuple[type[Message], ...] = (Ready, Cipher, Partial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the aggregator knows in every state.

    Attributes:
        setup_hash: `setup.hash`.
        terms: once the spec is known.
        said: digest of every accepted message, by sender and kind.
    """

    setup: Setup
    setup_hash: bytes
    coordinator: str
    joint: JointKey
    terms: Terms | None = None
    said: Mapping[tuple[str, str], bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Messages of one step come in.

    Attributes:
        parcels: what came so far, by sender, in party order.
    """

    session: Session
    parcels: Mapping[str, Parcel] = field(default_factory=dict)

    due: ClassVar[type[Message]] = Ready
    ended = False

    @property
    def awaits(self) -> Awaits:
        """The messages that are still out; without one of them nothing goes on."""
        return self._outstanding()

    def _outstanding(self) -> Awaits:
        absent = tuple(party for party in self.session.setup.parties if party not in self.parcels)
        return Awaits(what=self.due.__name__.lower(), of=absent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering(Serving):
    """Words come in of those who are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collecting(Serving):
    """Everybody is there; ciphertexts come in.

    Attributes:
        columns: the ciphertexts of those whose proofs hold.
    """

    columns: Columns = field(default_factory=dict)

    due: ClassVar[type[Message]] = Cipher

    @property
    def awaits(self) -> Awaits:
        """The spec, then the ciphertexts that are still out."""
        if self.session.terms is None:
            return Awaits(what="spec", of=(self.session.coordinator,))
        return self._outstanding()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decrypting(Serving):
    """Everybody has all ciphertexts; answers come in.

    Attributes:
        columns: the answers that came; their proofs are looked at when all are there.
    """

    sums: Collected
    columns: Columns = field(default_factory=dict)

    due: ClassVar[type[Message]] = Partial


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Serving):
    """The total is open."""

    due: ClassVar[type[Message]] = Partial
    ended = True

    @property
    def awaits(self) -> Awaits:
        """Nothing."""
        return Awaits()


def step(state: State, event: AggregatorEvent) -> AggregatorTransition:
    """Return where `event` leads. Raises ProtocolViolation (the state stays) and, for a wrong driver, Misuse."""
    match state, event:
        case Vacant(), Opened() as begun:
            return Transition(_opened(begun))
        case (Gathering() | Collecting()) as now, SpecKnown(spec=spec):
            return Transition(_specified(now, spec))
        case Serving() as now, Received(parcel=parcel):
            return _receive(now, parcel)
        case Aborted(), Received():
            return Transition(state)
        case ((Finished() | Aborted()), (DeadlinePassed() | Stopped())):
            return Transition(state)
        case _, Stopped(blames=blames):
            return Transition(Aborted(blames=blames), (Abort(blames=blames),))
        case Serving() as now, DeadlinePassed(missing=missing):
            blames = checking.absent(missing or now.awaits.of, now.awaits.what)
            return Transition(Aborted(blames=blames), (Abort(blames=blames),))
        case _:
            raise out_of_place(state, event, COORDINATOR)


def _opened(begun: Opened) -> Gathering:
    setup = begun.setup
    joint = joint_key(begun.joint, setup)
    return Gathering(session=Session(setup=setup, setup_hash=setup.hash, coordinator=begun.coordinator, joint=joint))


def _specified(now: Gathering | Collecting, spec: Spec) -> Gathering | Collecting:
    known = now.session
    if spec.setup != known.setup or (known.terms is not None and known.terms.spec != spec):
        raise Misuse("a sum has one spec, and it is for the setup that was opened")
    return replace(now, session=replace(known, terms=known.terms or Terms.of(spec, known.joint)))


def _receive(now: Serving, parcel: Parcel) -> AggregatorTransition:
    message = parcel.message
    sender, kind = message.sender, type(message.value)
    earlier = now.session.said.get((sender, kind.__name__))
    if earlier == message.digest:
        return Transition(now)
    if kind not in ORDER or (kind is Cipher and now.session.terms is None):
        raise out_of_place(now, Received(parcel=parcel), COORDINATOR)
    if earlier is not None:
        name = kind.__name__.lower()
        raise ProtocolViolation(sender, phase=name, expected=f"one {name}", got="a second, different one")
    spoken(kind, now.session.setup, parcel, sender)
    if kind is not now.due:  # an earlier step was closed by everybody's words, so this is a later step's
        raise out_of_place(now, Received(parcel=parcel), COORDINATOR)
    return _accepted(now, parcel)


def _accepted(now: Serving, parcel: Parcel) -> AggregatorTransition:
    """Return the state that has taken `parcel`, or the next one if that was the last. Raises ProtocolViolation."""
    sender, parties = parcel.message.sender, now.session.setup.parties
    match now:
        case Gathering(session=session):
            checks.ready(session.setup, session.setup_hash, parcel, sender)
            taken: Serving = now
        case Collecting(session=Session(terms=Terms() as terms)):
            given = checks.cipher(terms, parcel, sender)
            checks.known(terms, sender, given, _proof(parcel))
            taken = replace(now, columns={**now.columns, sender: given})
        case Decrypting():
            given = checks.partial(now.sums.terms, now.sums.set_hash, parcel, sender)
            taken = replace(now, columns={**now.columns, sender: given})
        case _:
            raise out_of_place(now, Received(parcel=parcel), COORDINATOR)
    found = {**now.parcels, sender: parcel}
    said = {**now.session.said, (sender, type(parcel.message.value).__name__): parcel.message.digest}
    taken = replace(
        taken,
        session=replace(now.session, said=said),
        parcels={party: found[party] for party in parties if party in found},
    )
    return Transition(taken) if len(found) < len(parties) else _closed(taken)


def _closed(now: Serving) -> AggregatorTransition:
    """Return the next step: everybody has spoken."""
    session, forward = now.session, Broadcast(parcels=tuple(now.parcels.values()))
    match now:
        case Gathering():
            return Transition(Collecting(session=session), (forward,))
        case Collecting(session=Session(terms=Terms() as terms)):
            columns = {party: now.columns[party] for party in session.setup.parties}
            sums = checking.multiplied(terms, now.parcels, columns)
            return Transition(Decrypting(session=session, sums=sums), (forward,))
        case Decrypting():
            shown = {party: _proof(parcel) for party, parcel in now.parcels.items()}
            try:
                release = checking.released(now.sums, now.columns, shown)
            except checking.Unreadable as fault:
                blames = (checking.nobody(fault),)
                return Transition(Aborted(blames=blames), (forward, Abort(blames=blames)))
            return Transition(Finished(session=session), (forward, release))
        case _:
            raise Misuse(f"nothing closes {type(now).__name__}")


def _proof(parcel: Parcel) -> bytes:
    value = parcel.message.value
    return value.proof if isinstance(value, Cipher | Partial) else b""

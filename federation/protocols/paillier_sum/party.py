"""The party's machine of a sum under a joint key: it answers once, for the product of ciphertexts that it checked.

    Idle --Begin--> Announced --readies--> Joined --Contribute--> Encrypted --ciphers--> Answered --partials--> Done
    before Answered --Withdraw--> Withdrawn;  --Stopped, DeadlinePassed--> Aborted

Nothing returns to an earlier state. A party encrypts one vector in its life in one setup, and answers to one list of
ciphertexts, in which everybody's are, each with a proof that its sender made it for this very sum: what it opens is
everybody's sum and nothing else. Its entropy leaves the state with its answer, its share of the key as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from federation.crypto import ring
from federation.crypto.paillier import ciphertexts, proofs, threshold
from federation.crypto.paillier.engine import Engine
from federation.crypto.paillier.threshold import JointKey, KeyShare
from federation.errors import Misuse
from federation.protocols import bundles
from federation.protocols.events import (
    Abort,
    Begin,
    Contribute,
    DeadlinePassed,
    Delivered,
    Intend,
    Parcel,
    PartyEvent,
    Send,
    Stopped,
    Withdraw,
)
from federation.protocols.machine import Transition
from federation.protocols.paillier_sum import checking, checks
from federation.protocols.paillier_sum.checking import Collected
from federation.protocols.paillier_sum.messages import Cipher, Partial, Ready
from federation.protocols.paillier_sum.terms import Terms, joint_key, key_share
from federation.protocols.secure_sum import Aborted, Awaits, PartyTransition, State
from federation.protocols.setup import chunked, root_of
from federation.protocols.states import Done, Idle, Taking, Withdrawn, identity, out_of_place, withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced(Taking):
    """It has said that it is there."""

    joint: JointKey
    share: KeyShare
    entropy: bytes = field(repr=False)

    what = "readies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Taking):
    """Everybody is there; now its numbers are due."""

    joint: JointKey
    share: KeyShare
    entropy: bytes = field(repr=False)

    @property
    def awaits(self) -> Awaits:
        """The party's own numbers."""
        return Awaits(what="contribution", of=(self.me,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Encrypted(Taking):
    """Its ciphertexts are out.

    Attributes:
        nonce: 32 secret bytes for the proof of its answers.
    """

    terms: Terms
    share: KeyShare
    nonce: bytes = field(repr=False)
    cipher: Cipher

    what = "ciphers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Taking):
    """Its answers are out, and it gives no others; the total is due."""

    sums: Collected
    partial: Partial

    what = "partials"


def step(state: State, event: PartyEvent) -> PartyTransition:
    """Return where `event` leads. Raises ProtocolViolation (the state stays) and, for a wrong driver, Misuse."""
    match state, event:
        case Idle(), Begin() as begin:
            return _announce(begin)
        case Taking() as now, Delivered(parcels=parcels) if identity(parcels) in now.seen:
            return Transition(now)
        case Announced() as now, Delivered(parcels=parcels):
            return _join(now, parcels)
        case Joined() as now, Contribute() as contribution:
            return _encrypt(now, contribution)
        case Encrypted() as now, Delivered(parcels=parcels):
            return _answer(now, parcels)
        case Answered() as now, Delivered(parcels=parcels):
            return _open(now, parcels)
        case ((Idle() | Answered() | Done() | Aborted()), Withdraw()):
            return Transition(state)  # the driver's to see: there is no `Send`, so no such word leaves
        case Taking() as now, Withdraw():
            return withdrawn(now)
        case ((Withdrawn() | Aborted()), (Delivered() | Contribute())):
            return Transition(state)
        case ((Done() | Withdrawn() | Aborted()), (DeadlinePassed() | Stopped())):
            return Transition(state)
        case _, Stopped(blames=blames):
            return Transition(Aborted(blames=blames), (Abort(blames=blames),))
        case Taking() as now, DeadlinePassed(missing=missing):
            return _late(now, missing)
        case _:
            raise out_of_place(state, event)


def _announce(begin: Begin) -> PartyTransition:
    setup = begin.setup
    if begin.me not in setup.parties or begin.coordinator in setup.parties or len(begin.entropy) != 32:
        raise Misuse("a party begins under its own name, with another member as coordinator and 32 bytes of entropy")
    state = Announced(
        setup=setup,
        me=begin.me,
        coordinator=begin.coordinator,
        joint=joint_key(begin.joint, setup),
        share=key_share(begin.share, setup, begin.me),
        entropy=begin.entropy,
    )
    return Transition(state, (Send(message=Ready(setup_hash=setup.hash, party=begin.me)),))


def _join(now: Announced, parcels: tuple[Parcel, ...]) -> PartyTransition:
    setup, relay = now.setup, now.coordinator
    setup_hash = setup.hash
    for parcel in bundles.one_each(setup, parcels, relay, "readies", setup.least).values():
        checks.ready(setup, setup_hash, parcel, relay)
    state = Joined(
        setup=setup,
        me=now.me,
        coordinator=relay,
        seen=(identity(parcels),),
        joint=now.joint,
        share=now.share,
        entropy=now.entropy,
    )
    return Transition(state)


def _encrypt(now: Joined, contribution: Contribute) -> PartyTransition:
    spec = contribution.spec
    if spec.setup != now.setup or len(contribution.vector) != spec.size_bytes:
        raise Misuse(
            "a contribution is for the setup that the party began with and has as many numbers as its spec says"
        )
    terms, public = Terms.of(spec, now.joint), now.joint.public
    # What does not fit its slot is refused here: nothing of the vector has left yet.
    plaintexts = terms.slots.pack(ring.to_ints(ring.from_bytes(contribution.vector)))
    # The engine draws what blinds from this secret and from the plaintexts, so a fold finds the same ciphertexts again,
    # and no two vectors are ever under one blinding, whatever a driver does.
    engine = Engine(public, terms.secret(now.entropy, "blinding"))
    alphas = engine.alphas(plaintexts)
    given = engine.encrypt(plaintexts, alphas)
    proof = proofs.prove_plaintexts(
        public, plaintexts, alphas, given, terms.known(now.me), terms.secret(now.entropy, "known")
    )
    chunks = chunked(engine.to_bytes(given))
    cipher = Cipher(
        spec_hash=terms.spec_hash,
        party=now.me,
        header=terms.header,
        chunk_root=root_of(chunks),
        number=contribution.number,
        proof=proof,
    )
    state = Encrypted(
        setup=now.setup,
        me=now.me,
        coordinator=now.coordinator,
        seen=now.seen,
        terms=terms,
        share=now.share,
        nonce=terms.secret(now.entropy, "opened"),
        cipher=cipher,
    )
    return Transition(state, (Send(message=cipher, chunks=chunks),))


def _answer(now: Encrypted, parcels: tuple[Parcel, ...]) -> PartyTransition:
    terms, joint = now.terms, now.terms.joint
    sums = checking.collected(terms, parcels, now.coordinator, mine=now.cipher)
    answers = threshold.partials(joint, now.share, sums.product)
    proof = proofs.prove_partials(joint, now.share, sums.product, answers, terms.opened(sums.set_hash), now.nonce)
    chunks = chunked(ciphertexts.to_bytes(joint.public.n, answers))
    partial = Partial(
        spec_hash=terms.spec_hash, set_hash=sums.set_hash, party=now.me, chunk_root=root_of(chunks), proof=proof
    )
    state = Answered(
        setup=now.setup,
        me=now.me,
        coordinator=now.coordinator,
        seen=(*now.seen, identity(parcels)),
        sums=sums,
        partial=partial,
    )
    return Transition(state, (Intend(parties=now.setup.parties), Send(message=partial, chunks=chunks)))


def _open(now: Answered, parcels: tuple[Parcel, ...]) -> PartyTransition:
    try:
        release = checking.opened(now.sums, parcels, now.coordinator, mine=now.partial)
    except checking.Unreadable as fault:
        blames = (checking.nobody(fault),)
        return Transition(Aborted(blames=blames), (Abort(blames=blames),))
    state = Done(setup=now.setup, me=now.me, coordinator=now.coordinator, seen=(*now.seen, identity(parcels)))
    return Transition(state, (release,))


def _late(now: Taking, missing: tuple[str, ...]) -> PartyTransition:
    said = f" to {now.coordinator}, as that one says" if missing else ""
    blames = checking.absent(missing or now.awaits.of, now.awaits.what, said)
    return Transition(Aborted(blames=blames), (Abort(blames=blames),))

"""What a corrupt party and a coordinator that works with it make of what they see: `p2` and the relay, unless told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from federation.crypto.paillier import threshold
from federation.crypto.paillier.ciphertexts import from_bytes, to_bytes
from federation.crypto.paillier.engine import Engine
from federation.protocols.events import Parcel, Received
from federation.protocols.paillier_sum.checking import Collected, multiplied
from federation.protocols.paillier_sum.messages import Cipher, Partial
from federation.protocols.paillier_sum.terms import Terms
from federation.protocols.setup import chunked, root_of
from tests.protocols.cohort import attested
from tests.protocols.paillier_sum.holders import Holders, told

ENTROPY = b"m" * 32
Numbers = Mapping[str, Sequence[int]]


def numbers_of(holders: Holders, parcel: Parcel) -> list[int]:
    """The ciphertexts, or answers, behind a message."""
    return from_bytes(holders.joint.public.n, b"".join(parcel.chunks))


def with_numbers(holders: Holders, parcel: Parcel, numbers: Sequence[int], **changed: object) -> Parcel:
    """The same message with other numbers behind it, their root signed."""
    chunks = chunked(to_bytes(holders.joint.public.n, numbers))
    return told(parcel, chunks=chunks, chunk_root=root_of(chunks), **changed)


def altered(holders: Holders, parcel: Parcel, numbers: Sequence[int]) -> Parcel:
    """An honest message with other bytes behind it: what a relay can do, who signs for nobody."""
    return Parcel(message=parcel.message, chunks=chunked(to_bytes(holders.joint.public.n, numbers)))


def moved(holders: Holders, victim: Parcel, places: int) -> list[int]:
    """A victim's ciphertexts, their numbers moved up by so many slots, under a blinding of the cheat's own."""
    public, slots = holders.joint.public, Terms.of(holders.spec, holders.joint).slots
    given = numbers_of(holders, victim)
    blank = Engine(public, ENTROPY).encrypt([0] * len(given))
    factor = 1 << 8 * slots.slot_bytes * places
    return [pow(c, factor, public.n**2) * b % public.n**2 for c, b in zip(given, blank, strict=True)]


def contributed(holders: Holders, vectors: Numbers) -> dict[str, Parcel]:
    """Everybody's honest ciphers, which no aggregator has seen."""
    holders.joined()
    return {party: holders.contribute(party, numbers) for party, numbers in vectors.items()}


def product_of(holders: Holders, bundle: Sequence[Parcel]) -> Collected:
    """What who checks nothing decrypts for these ciphers."""
    terms = Terms.of(holders.spec, holders.joint)
    found = {parcel.message.sender: parcel for parcel in bundle}
    return multiplied(terms, found, {party: numbers_of(holders, parcel) for party, parcel in found.items()})


def answers_of(holders: Holders, sums: Collected, party: str) -> list[int]:
    """What a holder can answer for any ciphertexts, if it wants to."""
    return threshold.partials(holders.joint, holders.shares[party], sums.product)


def opened(holders: Holders, sums: Collected, honest: Sequence[Parcel]) -> list[int]:
    """The plaintexts that the answers of honest parties open, with those of everybody else, who is corrupt."""
    answers = {parcel.message.sender: numbers_of(holders, parcel) for parcel in honest}
    for party in holders.parties:
        answers.setdefault(party, answers_of(holders, sums, party))
    return threshold.combine(holders.joint, sums.product, answers)


def first_slot(holders: Holders, plaintext: int, place: int = 0) -> int:
    """The number in one slot of a plaintext, as a single party packed it."""
    slots = Terms.of(holders.spec, holders.joint).slots
    return (int(plaintext) >> 8 * slots.slot_bytes * place) % (1 << 8 * slots.slot_bytes) - slots.offset


def receive(holders: Holders, *parcels: Parcel) -> None:
    """Give the aggregator what parties say."""
    for parcel in parcels:
        holders.receive(Received(parcel=parcel))


def signed_partial(holders: Holders, sums: Collected, party: str, answers: Sequence[int], proof: bytes) -> Parcel:
    """What a party says of these answers."""
    chunks = chunked(to_bytes(holders.joint.public.n, answers))
    said = Partial(
        spec_hash=sums.terms.spec_hash, set_hash=sums.set_hash, party=party, chunk_root=root_of(chunks), proof=proof
    )
    return Parcel(message=attested(said), chunks=chunks)


def proof_of(parcel: Parcel) -> bytes:
    """The proof in a message."""
    value = parcel.message.value
    assert isinstance(value, Cipher | Partial)
    return value.proof

"""What the secrets of a masked sum are derived from, and how masks are put on and taken off a vector.

Everything that two parties must agree on enters the seed of their mask: whoever was shown another spec, roster, list of
parties or key gets a mask that does not cancel, and the sum is noise instead of somebody's figure. The names make the
seed of (i, j) another one than that of (i, k) even where k's key is a copy or an alias of j's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from federation.crypto import agreement
from federation.crypto.prg import Keystream
from federation.crypto.ring import CHUNK_BYTES, RINGS, Chunk, Tally
from federation.domain.job import digest
from federation.protocols import summing
from federation.protocols.setup import Setup, chunked

LABEL = "federation/masked_sum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What the masks of one sum are bound to, 32 bytes each.

    Attributes:
        adverts_hash: over the digests of all signed adverts ("roster_hash" in the message table of masked sums).
        u2_hash: over the setup, the adverts and the signed shares of all who are masked against.
    """

    spec_hash: bytes
    adverts_hash: bytes
    u2_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One party's name and its public keys for this sum."""

    party: str
    enc_pk: bytes
    mask_pk: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """All that a party keeps to itself in one setup, 32 bytes each; derived, so that a restart finds them again.

    Attributes:
        seed: of its own mask ("b_i"); opened if it is counted.
        mask_private: opened if it is not counted.
        lot: draws the chunks that it checks of a long total; the coordinator cannot know it.
    """

    enc_private: bytes = field(repr=False)
    mask_private: bytes = field(repr=False)
    seed: bytes = field(repr=False)
    seed_polynomial: bytes = field(repr=False)
    key_polynomial: bytes = field(repr=False)
    lot: bytes = field(repr=False)


def secrets_of(entropy: bytes, setup: Setup) -> Secrets:
    """Return the secrets of this setup; the same entropy gives another setup other ones."""

    def of(what: str) -> bytes:
        return agreement.derive(entropy, _info(f"{LABEL}/{what}/v1", setup.hash))

    return Secrets(
        enc_private=of("enc_key"),
        mask_private=of("mask_key"),
        seed=of("seed"),
        seed_polynomial=of("seed_polynomial"),
        key_polynomial=of("key_polynomial"),
        lot=of("lot"),
    )


# --- digests that everybody must agree on ----------------------------------------------------------------------------


def hash_of_adverts(setup_hash: bytes, digests: Iterable[bytes]) -> bytes:
    """Return adverts_hash over the body digests of all adverts."""
    return digest(f"{LABEL}/adverts/v2", setup_hash, *sorted(digests))


def hash_of_u2(adverts_hash: bytes, digests: Iterable[bytes]) -> bytes:
    """Return u2_hash over the body digests of all shares: who is masked against whom, and every commitment."""
    return digest(f"{LABEL}/u2/v2", adverts_hash, *sorted(digests))


def hash_of_u3(binding: Binding, digests: Iterable[bytes]) -> bytes:
    """Return u3_hash over the body digests of the heads of all who are counted."""
    return digest(f"{LABEL}/u3/v1", binding.spec_hash, binding.u2_hash, *sorted(digests))


def commitment(setup_hash: bytes, party: str, seed: bytes) -> bytes:
    """Return the digest that a party signs of its self-mask's seed before anything is masked."""
    return digest(f"{LABEL}/seed/v1", setup_hash, party.encode(), seed)


def share_digest(adverts_hash: bytes, dealer: str, holder: str, kind: str, share: bytes) -> bytes:
    """Return the digest that a dealer signs of a share that `holder` gets of it; `kind` is "seed" or "key".

    A share has as much entropy as what it is a share of: its digest tells nobody anything.
    """
    return digest(f"{LABEL}/share_of_{kind}/v1", adverts_hash, dealer.encode(), holder.encode(), share)


# --- keys ------------------------------------------------------------------------------------------------------------


def box_secrets(private: bytes, peers: Sequence[Side]) -> list[bytes]:
    """Return what `private` agrees on with each of these peers, 32 bytes each, for `box_key`. Raises BadPublicKey."""
    return agreement.shared_each(private, [peer.enc_pk for peer in peers])


def box_key(secret: bytes, source: Side, target: Side, adverts_hash: bytes) -> bytes:
    """Return the key of the one box that `source` seals for `target`, from what the two agree on.

    X25519 gives both directions one secret: source, target and both keys in the info keep the two boxes of a pair
    under two keys, so that no key and nonce are ever used twice.
    """
    info = _info(
        f"{LABEL}/box/v1", adverts_hash, source.party.encode(), target.party.encode(), source.enc_pk, target.enc_pk
    )
    return agreement.derive(secret, info)


def box_label(adverts_hash: bytes, source: str, target: str) -> bytes:
    """Return what a box is sealed with besides: for whom it is, of whom, among which adverts."""
    return digest("federation/masked_sum/box/v1", adverts_hash, source.encode(), target.encode())


def pair_info(binding: Binding, low: Side, high: Side) -> bytes:
    """Return the HKDF info of the pair's mask, each part length-prefixed; `low` is the party whose name sorts first."""
    return _info(
        f"{LABEL}/pair/v2",
        binding.spec_hash,
        binding.adverts_hash,
        binding.u2_hash,
        low.party.encode(),
        high.party.encode(),
        low.mask_pk,
        high.mask_pk,
    )


def pair_seed(private: bytes, me: Side, peer: Side, binding: Binding) -> bytes:
    """Return the 32-byte seed of the mask between `me` and `peer`, the same on both sides.

    Raises:
        BadPublicKey: the peer's key is one that no honest party announces.
    """
    return pair_seeds(private, me, (peer,), binding)[peer.party]


def pair_seeds(private: bytes, me: Side, peers: Sequence[Side], binding: Binding) -> dict[str, bytes]:
    """Return `pair_seed` with each of these peers, by name. Raises BadPublicKey."""
    found = {}
    for peer, secret in zip(peers, agreement.shared_each(private, [peer.mask_pk for peer in peers]), strict=True):
        low, high = (me, peer) if me.party < peer.party else (peer, me)
        found[peer.party] = agreement.derive(secret, pair_info(binding, low, high))
    return found


def self_seed(seed: bytes, party: str, binding: Binding) -> bytes:
    """Return the 32-byte seed of a party's own mask stream."""
    return agreement.derive(seed, _info(f"{LABEL}/self/v1", binding.spec_hash, binding.u2_hash, party.encode()))


def _info(label: str, *parts: bytes) -> bytes:
    """Length-prefixed parts under a label: no two lists of parts have one info."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in (label.encode(), *parts))


# --- vectors ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Seeds of mask streams, by what is done with them; each seed serves one vector, once."""

    add: tuple[bytes, ...] = field(default=(), repr=False)
    subtract: tuple[bytes, ...] = field(default=(), repr=False)


def streams_on(own: bytes, pairs: Mapping[str, bytes], me: str) -> Streams:
    """Return the masks that `me` puts on: its own, plus those of peers whose names sort after, minus the others."""
    return Streams(
        add=(own, *(seed for peer, seed in pairs.items() if me < peer)),
        subtract=tuple(seed for peer, seed in pairs.items() if peer < me),
    )


def streams_off(
    seeds: Mapping[str, bytes],
    keys: Mapping[str, bytes],
    sides: Mapping[str, Side],
    binding: Binding,
    meet: Callable[[str, str], bool] | None = None,
) -> Streams:
    """Return what takes off all masks that are left in the sum of those who are counted.

    Args:
        seeds: counted party -> the opened seed of its own mask.
        keys: party that was masked against and is not counted -> its opened mask key.
        sides: everybody who was masked against.
        binding: what the masks are bound to.
        meet: whether two parties are masked against each other; all are unless told.
    """
    add: list[bytes] = []
    subtract = [self_seed(seed, party, binding) for party, seed in seeds.items()]
    for absent, private in keys.items():
        peers = [sides[counted] for counted in seeds if meet is None or meet(absent, counted)]
        pairs = pair_seeds(private, sides[absent], peers, binding)
        for counted, seed in pairs.items():
            (subtract if counted < absent else add).append(seed)
    return Streams(add=tuple(add), subtract=tuple(subtract))


def masked(vector: Chunk, ring: str, streams: Streams) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the masked vector's chunks and their Merkle leaf hashes."""
    return summing.summed([chunked(memoryview(vector))], ring, add=streams.add, subtract=streams.subtract)


def summed(
    vectors: Sequence[Sequence[Chunk]], ring: str, streams: Streams
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the chunks of the sum of vectors, given in chunks of equal sizes, without `streams`; and leaf hashes."""
    return summing.summed(vectors, ring, add=streams.add, subtract=streams.subtract)


def summed_chunk(chunks: Sequence[Chunk], ring: str, streams: Streams, place: int) -> bytes:
    """Return chunk number `place` of the sum, from that chunk of every vector: how one is checked alone."""
    total = np.frombuffer(chunks[0], dtype="<u8").copy()
    tally = Tally(RINGS[ring], total)
    for chunk in chunks[1:]:
        tally.add(np.frombuffer(chunk, dtype="<u8"))
    for seeds, put in ((streams.add, tally.add), (streams.subtract, tally.subtract)):
        for seed in seeds:
            put(Keystream(seed, place * CHUNK_BYTES).words(total.nbytes))
    tally.settle()
    return total.tobytes()

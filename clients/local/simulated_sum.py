"""One masked sum of many parties in one process: real keys, agreements, boxes, shares, masks and recovery.

For simulations: what a party computes for its peers is computed, by the functions that daemons run. Left out is what
convinces members of each other, who are one here: signatures, roots, consents, samples. Both ends of a pair agree on
one secret, so it is computed once for the two. A vector is masked and added to the total in one go and kept nowhere.

Nothing here protects anybody: all secrets come from one seed and lie in one memory. Refused: sums that cannot be opened
with those who are left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from federation.crypto import agreement, shamir
from federation.crypto.aead import opened as unsealed
from federation.crypto.aead import seal
from federation.crypto.blinding import blind
from federation.crypto.ring import RINGS
from federation.domain.job import digest
from federation.errors import JobFailed
from federation.protocols.masked_sum import masks, opening
from federation.protocols.masked_sum.graph import Graph
from federation.protocols.masked_sum.masks import Binding, Secrets, Side
from federation.protocols.masked_sum.messages import Advert, Shares, Unmask
from federation.protocols.masked_sum.opening import Masked
from federation.protocols.setup import Setup, Spec

_ENTROPY = "federation/local/simulated_sum/v1"

Shared = tuple[bytes, bytes]  # a share of the seed and one of the mask key


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt:
    """What all parties know once keys and shares are exchanged.

    Attributes:
        secrets: party -> its own.
        masked: everybody's public keys and commitments, and the graph.
        agreed: party -> neighbour whose name sorts after -> what their mask keys agree on.
        held: holder -> dealer -> the shares that it opened from its box; of itself too.
        digests: dealer -> holder -> of these shares, as the dealer says them.
    """

    setup: Setup
    secrets: Mapping[str, Secrets] = field(repr=False)
    masked: Masked
    adverts_hash: bytes
    u2_hash: bytes
    agreed: Mapping[str, Mapping[str, bytes]] = field(repr=False)
    held: Mapping[str, Mapping[str, Shared]] = field(repr=False)
    digests: Mapping[str, Mapping[str, bytes]] = field(repr=False)


def dealt(setup: Setup, entropy: bytes) -> Dealt:
    """Let all parties of a setup announce keys, agree with their neighbours and deal them shares.

    Args:
        entropy: 32 bytes, from which everybody's secrets come.
    """
    whole = setup.hash
    secrets, sides = dict[str, Secrets](), dict[str, Side]()
    for party in setup.parties:
        own = masks.secrets_of(digest(_ENTROPY, entropy, party.encode()), setup)
        enc_pk, mask_pk = (agreement.key_pair(private)[1] for private in (own.enc_private, own.mask_private))
        secrets[party], sides[party] = own, Side(party=party, enc_pk=enc_pk, mask_pk=mask_pk)
    keys = [digest(Advert.domain, whole, side.party.encode(), side.enc_pk, side.mask_pk) for side in sides.values()]
    adverts_hash = masks.hash_of_adverts(whole, keys)
    graph = Graph.of(setup, adverts_hash, setup.parties)
    held: dict[str, dict[str, Shared]] = {party: {} for party in sides}
    digests: dict[str, dict[str, bytes]] = {}
    boxes: dict[str, dict[str, bytes]] = {party: {} for party in sides}  # what two agree on, with the first in order
    agreed: dict[str, dict[str, bytes]] = {}
    for party, own in secrets.items():
        later = [sides[peer] for peer in graph.neighbours(party) if party < peer]
        names = [side.party for side in later]
        boxes[party] = dict(zip(names, masks.box_secrets(own.enc_private, later), strict=True))
        found = agreement.shared_each(own.mask_private, [side.mask_pk for side in later])
        agreed[party] = dict(zip(names, found, strict=True))
    for party, own in secrets.items():
        digests[party] = said = {}
        for holder, pair in _split(graph, party, own):
            if holder == party:
                held[party][party] = pair
            else:
                secret = boxes[party][holder] if party < holder else boxes[holder][party]
                label = masks.box_label(adverts_hash, party, holder)
                key = masks.box_key(secret, sides[party], sides[holder], adverts_hash)
                plain = unsealed(key, seal(key, b"".join(pair), label), label)
                held[holder][party] = plain[: shamir.SHARE_BYTES], plain[shamir.SHARE_BYTES :]
                said[holder] = b"".join(
                    masks.share_digest(adverts_hash, party, holder, kind, share)
                    for kind, share in zip(("seed", "key"), pair, strict=True)
                )
    commitments = tuple(masks.commitment(whole, party, own.seed) for party, own in secrets.items())
    words = (digest(Shares.domain, adverts_hash, one) for one in commitments)
    return Dealt(
        setup=setup,
        secrets=secrets,
        masked=Masked(sides=tuple(sides.values()), commitments=commitments, graph=graph),
        adverts_hash=adverts_hash,
        u2_hash=masks.hash_of_u2(adverts_hash, words),
        agreed=agreed,
        held=held,
        digests=digests,
    )


def _split(graph: Graph, party: str, own: Secrets) -> Iterator[tuple[str, Shared]]:
    """Yield (holder, shares) of a party's two secrets."""
    holders = graph.holders(party)
    seeds = shamir.split(own.seed, graph.threshold, len(holders), own.seed_polynomial)
    keys = shamir.split(own.mask_private, graph.threshold, len(holders), own.key_polynomial)
    yield from zip(holders, zip(seeds, keys, strict=True), strict=True)


class Round:
    """One vector of each party, masked and added up.

    Args:
        spec: what is summed, for the setup that was dealt.
    """

    def __init__(self, dealt: Dealt, spec: Spec) -> None:
        self._dealt, self._spec, self._ring = dealt, spec, RINGS[spec.ring]
        self._binding = Binding(spec_hash=spec.hash, adverts_hash=dealt.adverts_hash, u2_hash=dealt.u2_hash)
        self._pairs: dict[str, dict[str, bytes]] = {party: {} for party in dealt.setup.parties}
        sides = {side.party: side for side in dealt.masked.sides}
        for low, peers in dealt.agreed.items():
            for high, secret in peers.items():
                seed = agreement.derive(secret, masks.pair_info(self._binding, sides[low], sides[high]))
                self._pairs[low][high] = self._pairs[high][low] = seed

    def put_on(self, party: str, words: NDArray[np.uint64]) -> None:
        """Put the masks of a party on its vector, in place; may be called from several threads at once."""
        own = masks.self_seed(self._dealt.secrets[party].seed, party, self._binding)
        streams = masks.streams_on(own, self._pairs[party], party)
        blind(words, self._ring, add=streams.add, subtract=streams.subtract, threads=1, spread=map)

    def take_off(self, total: NDArray[np.uint64], counted: Sequence[str]) -> None:
        """Recover from the shares of those who are counted what takes all masks off the sum of their vectors, in place.

        Raises:
            JobFailed: they are too few, or too few in one place of the circle.
        """
        dealt, known = self._dealt, self._dealt.masked
        if len(counted) < dealt.setup.least or known.graph.thin(counted):
            raise JobFailed("too many parties were lost to open the sum", hint="lose fewer, or sum more")
        try:
            secrets = opening.recovered(
                dealt.setup, known, counted, self._unmasked(counted), dealt.digests, dealt.adverts_hash
            )
        except opening.Short:
            raise JobFailed("too few neighbours of a party are left to open the sum") from None
        streams = secrets.streams(known, self._binding)
        blind(total, self._ring, add=streams.add, subtract=streams.subtract, threads=2)

    def _unmasked(self, counted: Sequence[str]) -> dict[str, Unmask]:
        """Return what everybody who is counted gives: of every neighbour one kind of share."""
        known: Collection[str] = frozenset(counted)
        found = {}
        for party in counted:
            shares = sorted(self._dealt.held[party].items())
            found[party] = Unmask(
                spec_hash=self._binding.spec_hash,
                u3_hash=self._binding.u2_hash,
                party=party,
                self_shares=tuple(pair[0] for dealer, pair in shares if dealer in known),
                key_shares=tuple(pair[1] for dealer, pair in shares if dealer not in known),
            )
        return found

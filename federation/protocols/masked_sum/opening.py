"""What opens a masked sum: shares become secrets, secrets are held against what was signed before, masks come off.

The aggregator recovers; every party, and anybody who audits later, checks. A secret that does not fit the commitment or
the key that its owner signed is never used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from federation.crypto import agreement, shamir
from federation.crypto.ring import Chunk
from federation.errors import ProtocolViolation
from federation.protocols.masked_sum import masks
from federation.protocols.masked_sum.graph import Graph
from federation.protocols.masked_sum.masks import Binding, Side, Streams
from federation.protocols.masked_sum.messages import Opening, Unmask
from federation.protocols.setup import Setup, Spec, root_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """Everybody who was masked against, and what each of them signed: what secrets are held against.

    Attributes:
        sides: their public keys, in party order.
        commitments: digests of their seeds, in the same order.
        graph: which of them are masked against each other, and hold each other's shares.
    """

    sides: tuple[Side, ...]
    commitments: tuple[bytes, ...]
    graph: Graph

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in party order."""
        return tuple(side.party for side in self.sides)

    def absent(self, counted: Sequence[str]) -> tuple[str, ...]:
        """Those who were masked against and are not counted, in party order."""
        known = frozenset(counted)
        return tuple(name for name in self.names if name not in known)

    def around(self, party: str) -> tuple[str, ...]:
        """Those of whose secrets `party` holds shares, itself too, in party order."""
        near = {*self.graph.neighbours(party), party}
        return tuple(name for name in self.names if name in near)

    def owed(
        self, party: str, counted: Sequence[str], absent: Sequence[str]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of which counted ones `party` gives shares of the seed, and of which absent ones shares of the key."""
        near = {*self.graph.neighbours(party), party}
        of_keys = tuple(name for name in absent if name in near and name != party)
        return tuple(name for name in counted if name in near), of_keys

    def fits_seed(self, setup_hash: bytes, party: str, seed: bytes) -> bool:
        """Whether `seed` is what `party` committed itself to."""
        return masks.commitment(setup_hash, party, seed) == self.commitments[self.names.index(party)]

    def fits_key(self, party: str, private: bytes) -> bool:
        """Whether `private` belongs to the mask key that `party` announced."""
        return agreement.key_pair(private)[1] == self.sides[self.names.index(party)].mask_pk


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Opened secrets: the seeds of those who are counted, the mask keys of those who are not."""

    seeds: Mapping[str, bytes] = field(repr=False)
    keys: Mapping[str, bytes] = field(repr=False)

    def streams(self, masked: Masked, binding: Binding) -> Streams:
        """Return what takes all masks off the sum of those who are counted."""
        sides = {side.party: side for side in masked.sides}
        return masks.streams_off(self.seeds, self.keys, sides, binding, masked.graph.meet)


class Short(Exception):
    """The shares that are there do not open everything.

    Attributes:
        dealers: whose secret is not what it signed, as the shares that it dealt show; more shares do not help.
        liars: who gave other shares than those that were dealt to it, where too few are left without them.
    """

    def __init__(self, dealers: tuple[str, ...] = (), liars: tuple[str, ...] = ()) -> None:
        super().__init__(dealers, liars)
        self.dealers, self.liars = dealers, liars


def recovered(
    setup: Setup,
    masked: Masked,
    counted: Sequence[str],
    unmasks: Mapping[str, Unmask],
    dealt: Mapping[str, Mapping[str, bytes]],
    adverts_hash: bytes,
) -> Secrets:
    """Return the secrets that the parties' shares open, each held against what its owner signed.

    A share that is not the one that was dealt is left aside; the dealer's own is taken last, nobody vouches for it.

    Args:
        setup: who sums.
        masked: everybody who was masked against.
        counted: those of them whose numbers are in the sum.
        unmasks: what the parties gave.
        dealt: dealer -> holder -> digests of the two shares, seed and key, that it got, as the dealer signed them.
        adverts_hash: is in these digests.

    Raises:
        Short: there are too few shares, or too few right ones.
    """
    absent, t = masked.absent(counted), masked.graph.threshold
    of_seeds, of_keys = _given(masked, counted, absent, unmasks)
    if any(len(given) < t for given in (*of_seeds.values(), *of_keys.values())):
        raise Short
    weights: dict[tuple[int, ...], tuple[int, ...]] = {}
    dealers, liars, few = list[str](), set[str](), False

    def opens(dealer: str, kind: str, shares: Mapping[str, bytes], fits: Callable[[str, bytes], bool]) -> bytes:
        nonlocal few
        half = slice(0, 32) if kind == "seed" else slice(32, 64)
        places = {holder: place for place, holder in enumerate(masked.graph.holders(dealer))}
        right: dict[int, bytes] = {}
        for holder in sorted(shares, key=lambda holder: (holder == dealer, places[holder])):
            said = None if holder == dealer else dealt[dealer][holder][half]
            share = shares[holder]
            if said is None or masks.share_digest(adverts_hash, dealer, holder, kind, share) == said:
                right[places[holder]] = share
            else:
                liars.add(holder)
            if len(right) == t:
                break
        else:
            few = True
            return b""
        chosen = tuple(sorted(right))  # in one order, so that most secrets have the same weights
        if chosen not in weights:
            weights[chosen] = shamir.weights(chosen)
        secret = shamir.combined(weights[chosen], [right[place] for place in chosen])
        if secret is None or not fits(dealer, secret):
            dealers.append(dealer)
            return b""
        return secret

    fits_seed = partial(masked.fits_seed, setup.hash)
    seeds = {party: opens(party, "seed", given, fits_seed) for party, given in of_seeds.items()}
    keys = {party: opens(party, "key", given, masked.fits_key) for party, given in of_keys.items()}
    if dealers or few:
        raise Short(tuple(dealers), tuple(sorted(liars)))
    return Secrets(seeds=seeds, keys=keys)


def _given(
    masked: Masked, counted: Sequence[str], absent: Sequence[str], unmasks: Mapping[str, Unmask]
) -> tuple[dict[str, dict[str, bytes]], dict[str, dict[str, bytes]]]:
    """Return dealer -> holder -> the share that it gave: of the seeds of all who are counted, of the others' keys."""
    seeds: dict[str, dict[str, bytes]] = {party: {} for party in counted}
    keys: dict[str, dict[str, bytes]] = {party: {} for party in absent}
    for sender, unmask in unmasks.items():
        for found, dealers, shares in zip(
            (seeds, keys), masked.owed(sender, counted, absent), (unmask.self_shares, unmask.key_shares), strict=True
        ):
            for dealer, share in zip(dealers, shares, strict=True):
                found[dealer][sender] = share
    return seeds, keys


def announced(spec: Spec, masked: Masked, counted: Sequence[str], opening: Opening, relay: str) -> Secrets:
    """Return the secrets that the coordinator opened, after holding each against what its owner signed.

    Raises:
        ProtocolViolation: naming `relay`: it could have checked the same.
    """
    absent, setup_hash = masked.absent(counted), spec.setup.hash
    if (len(opening.seeds), len(opening.keys)) != (len(counted), len(absent)):
        raise ProtocolViolation(
            relay,
            phase="opening",
            expected=f"{len(counted)} seeds and {len(absent)} keys",
            got=f"{len(opening.seeds)} and {len(opening.keys)}",
        )
    seeds = dict(zip(counted, opening.seeds, strict=True))
    keys = dict(zip(absent, opening.keys, strict=True))
    if not all(masked.fits_seed(setup_hash, party, seed) for party, seed in seeds.items()):
        raise ProtocolViolation(relay, phase="opening", expected="the seeds that were committed to", got="another seed")
    if not all(masked.fits_key(party, key) for party, key in keys.items()):
        raise ProtocolViolation(relay, phase="opening", expected="the keys that were announced", got="another key")
    return Secrets(seeds=seeds, keys=keys)


def rooted_total(spec: Spec, opening: Opening, chunks: Sequence[Chunk], relay: str) -> None:
    """Check that a total's chunks have the sizes and the root that was stated. Raises ProtocolViolation."""
    if tuple(map(len, chunks)) != spec.chunks:
        raise ProtocolViolation(relay, phase="opening", expected=f"{spec.length} numbers", got="other sizes")
    if root_of(chunks) != opening.total_root:
        raise ProtocolViolation(relay, phase="opening", expected="the total under the stated root", got="other bytes")

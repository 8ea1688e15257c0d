"""What opens a masked sum: shares become secrets, secrets are held against what was signed before, masks come off.

The aggregator recovers; every party, and anybody who audits later, checks. A secret that does not fit the commitment or
the key that its owner signed is never used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from federation.crypto import agreement, shamir
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols.masked_sum import masks
from federation.protocols.masked_sum.masks import Binding, Side, Streams
from federation.protocols.masked_sum.messages import Opening, Unmask
from federation.protocols.setup import Setup, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """Everybody who was masked against, and what each of them signed: what secrets are held against.

    Attributes:
        sides: their public keys, in party order.
        commitments: digests of their seeds, in the same order.
    """

    sides: tuple[Side, ...]
    commitments: tuple[bytes, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in party order."""
        return tuple(side.party for side in self.sides)

    def absent(self, counted: Sequence[str]) -> tuple[str, ...]:
        """Those who were masked against and are not counted, in party order."""
        return tuple(name for name in self.names if name not in counted)

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
        return masks.streams_off(self.seeds, self.keys, {side.party: side for side in masked.sides}, binding)


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
    absent, t = masked.absent(counted), setup.threshold
    places = {party: setup.parties.index(party) for party in unmasks}
    weights: dict[tuple[int, ...], tuple[int, ...]] = {}
    dealers, liars, few = list[str](), set[str](), False

    def opens(dealer: str, kind: str, shares: Mapping[str, bytes], fits: Callable[[str, bytes], bool]) -> bytes:
        nonlocal few
        half = slice(0, 32) if kind == "seed" else slice(32, 64)
        right = {
            places[holder]: share
            for holder, share in shares.items()
            if holder == dealer
            or masks.share_digest(adverts_hash, dealer, holder, kind, share) == dealt[dealer][holder][half]
        }
        liars.update(holder for holder in shares if places[holder] not in right)
        taken = sorted(right, key=lambda place: (setup.parties[place] == dealer, place))[:t]
        chosen = tuple(sorted(taken))  # in one order, so that most secrets have the same weights
        if len(chosen) < t:
            few = True
            return b""
        if chosen not in weights:
            weights[chosen] = shamir.weights(chosen)
        secret = shamir.combined(weights[chosen], [right[place] for place in chosen])
        if secret is None or not fits(dealer, secret):
            dealers.append(dealer)
            return b""
        return secret

    if len(unmasks) < t or any(len(set(unmasks) - {party}) < t for party in absent):
        raise Short
    fits_seed = partial(masked.fits_seed, setup.hash)
    seeds, keys = dict[str, bytes](), dict[str, bytes]()
    for number, party in enumerate(counted):
        given = {sender: unmask.self_shares[number] for sender, unmask in unmasks.items()}
        seeds[party] = opens(party, "seed", given, fits_seed)
    for party in absent:
        given = {}
        for sender, unmask in unmasks.items():
            if sender != party:
                own_list = [name for name in absent if name != sender]
                given[sender] = unmask.key_shares[own_list.index(party)]
        keys[party] = opens(party, "key", given, masked.fits_key)
    if dealers or few:
        raise Short(tuple(dealers), tuple(sorted(liars)))
    return Secrets(seeds=seeds, keys=keys)


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


def rooted_total(spec: Spec, opening: Opening, chunks: Sequence[bytes], relay: str) -> None:
    """Check that a total's chunks have the sizes and the root that was stated. Raises ProtocolViolation."""
    if tuple(map(len, chunks)) != spec.chunks:
        raise ProtocolViolation(relay, phase="opening", expected=f"{spec.length} numbers", got="other sizes")
    if merkle.root([merkle.leaf_hash(chunk) for chunk in chunks]) != opening.total_root:
        raise ProtocolViolation(relay, phase="opening", expected="the total under the stated root", got="other bytes")

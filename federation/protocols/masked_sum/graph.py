"""Who is masked against whom: everybody against everybody up to 64 parties, against the nearest on a circle above.

A masked sum of n parties costs each of them n masks and n boxes; a thousand need no more than some hundred. The parties
are put on a circle in an order that nobody chose, and each is the neighbour of `reach` on either side: a Harary graph
under a random permutation (J. H. Bell, K. A. Bonawitz, A. Gascon, T. Lepoint, M. Raykova, Secure Single-Server
Aggregation with (Poly)Logarithmic Overhead, CCS 2020, section 3.2). A secret is shared among its owner's neighbours.
The order is a pure function of the digest of all adverts, so every member computes the graph itself and nobody says it.

What must not happen is that lost and corrupt parties together cut the circle in two: then the sum of each arc is open,
not only that of all. In the paper the lost fall at random; a malicious coordinator chooses whom it calls lost, and sees
the graph when it does. Hence a rule that every party holds any list of contributors against (`Graph.thin`): among any
`reach` neighbouring places at least `counted` contribute. That is more than corrupt parties are among any, so in every
such run there is an honest contributor, and all honest contributors hang together, whoever was left out. It takes twice
the neighbours of the paper.

Corrupt parties and the coordinator see the digest before they send their last advert, and may try many: the order is
made slow to compute (some 50 ms), and the bounds leave 20 bits for such tries. Bounds are of sampling without
replacement, in whole numbers: every machine finds the same degree. It follows from what the setup promises: a thousand
parties of which 100 may collude and 100 be lost have 122 neighbours each, of which a third may collude and a third be
lost 718. Refused: nothing; where no smaller degree holds what is promised, the graph is complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import comb
from types import MappingProxyType

from federation.protocols.setup import Setup

MOST_COMPLETE = 64  # parties up to which everybody is everybody's neighbour
PRIVACY_BITS = 60  # corrupt parties are too many somewhere with probability 2^-60: 2^-40, and 2^20 tries at the order
SUCCESS_BITS = 30  # so many lost at random leave too few somewhere with probability 2^-30
TURNS = 1 << 17  # of the hash that the order is made from
_ORDER = b"federation/masked_sum/graph/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How many neighbours hold what a setup promises.

    Attributes:
        reach: neighbours on either side ("k/2").
        counted: contributors that any `reach` neighbouring places must have.
        threshold: shares that open a secret of one party.
    """

    reach: int
    counted: int
    threshold: int


@lru_cache(maxsize=64)
def terms(parties: int, colluders: int, lost: int) -> Terms | None:
    """Return the terms of so many parties on a circle, None where everybody must be everybody's neighbour.

    Args:
        parties: who announced keys.
        colluders: of them, with the coordinator ("c").
        lost: of them, at random, with whom the sum still opens.
    """
    if parties <= MOST_COMPLETE:
        return None
    most = (parties - 1) // 2  # beyond it neighbours would be counted twice
    low, high = 0, 1
    while high <= most and _of_reach(parties, colluders, lost, high) is None:
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        reach = (low + high) // 2
        low, high = (low, reach) if _of_reach(parties, colluders, lost, reach) else (reach, high)
    return _of_reach(parties, colluders, lost, high) if high <= most else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The neighbours of all who announced keys.

    Attributes:
        parties: who announced keys, in party order.
        everybody: the setup's parties: who holds shares by number where the graph is complete.
        threshold: shares that open a secret.
        terms: None if it is complete.
        circle: the parties in their order on the circle; () if it is complete.
    """

    parties: tuple[str, ...]
    everybody: tuple[str, ...]
    threshold: int
    terms: Terms | None = None
    circle: tuple[str, ...] = ()
    _places: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, setup: Setup, adverts_hash: bytes, parties: Sequence[str]) -> Graph:
        """Return the graph of those who announced keys, in party order.

        Args:
            adverts_hash: over all signed adverts, 32 bytes; it binds the setup.
        """
        return _made(setup, adverts_hash, tuple(parties))

    def neighbours(self, party: str) -> tuple[str, ...]:
        """Return whom `party` is masked against and who holds its shares, in party order."""
        if self.terms is None:
            return tuple(name for name in self.parties if name != party)
        place, size = self._places[party], len(self.circle)
        steps = range(1, self.terms.reach + 1)
        return tuple(sorted(self.circle[(place + step) % size] for way in steps for step in (way, -way)))

    def meet(self, one: str, other: str) -> bool:
        """Return whether two parties are neighbours."""
        if self.terms is None:
            return one != other
        apart = abs(self._places[one] - self._places[other])
        return 0 < min(apart, len(self.circle) - apart) <= self.terms.reach

    def holders(self, party: str) -> tuple[str, ...]:
        """Return who holds the shares of `party`, by the number of the share: itself and its neighbours.

        Where the graph is complete, all parties of the setup have a number, also who announced no keys.
        """
        return self.everybody if self.terms is None else tuple(sorted((*self.neighbours(party), party)))

    def thin(self, counted: Collection[str]) -> tuple[str, ...]:
        """Return neighbouring places that hold too few of `counted` to keep all honest ones together; () if none do."""
        if self.terms is None:
            return ()
        reach, size, known = self.terms.reach, len(self.circle), frozenset(counted)
        there = [party in known for party in self.circle]
        found = sum(there[:reach])
        for place in range(size):
            if found < self.terms.counted:
                return tuple(self.circle[(place + step) % size] for step in range(reach))
            found += there[(place + reach) % size] - there[place]
        return ()


@lru_cache(maxsize=16)  # asked for at every step of a sum, and the order is slow on purpose
def _made(setup: Setup, adverts_hash: bytes, parties: tuple[str, ...]) -> Graph:
    found = terms(len(parties), setup.colluders, max(0, len(parties) - setup.least))
    if found is None:
        return Graph(parties=parties, everybody=setup.parties, threshold=setup.threshold)
    seed = hashlib.pbkdf2_hmac("sha256", adverts_hash, _ORDER, TURNS)
    circle = tuple(sorted(parties, key=lambda party: hashlib.sha256(seed + party.encode()).digest()))
    return Graph(
        parties=parties,
        everybody=setup.parties,
        threshold=found.threshold,
        terms=found,
        circle=circle,
        _places=MappingProxyType({party: place for place, party in enumerate(circle)}),
    )


def _of_reach(parties: int, colluders: int, lost: int, reach: int) -> Terms | None:
    """Return the terms with so many neighbours on either side, None if they are too few."""
    counted = _least(parties, colluders, reach, PRIVACY_BITS, parties)
    threshold = max(2, _least(parties - 1, colluders, 2 * reach, PRIVACY_BITS, parties))
    counted = max(counted, -(-threshold // 2))  # then whoever is counted has as many neighbours that are
    if counted > reach or not _rare(parties, lost, reach, reach - counted + 1, SUCCESS_BITS, parties):
        return None
    return Terms(reach=reach, counted=counted, threshold=threshold)


def _least(people: int, marked: int, drawn: int, bits: int, times: int) -> int:
    """Return the least x of which it is rare that so many of those drawn are marked."""
    low, high = 0, drawn + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _rare(people, marked, drawn, middle, bits, times) else (middle, high)
    return high


def _rare(people: int, marked: int, drawn: int, least: int, bits: int, times: int) -> bool:
    """Return whether `times` P(at least `least` of `drawn` people are marked) <= 2^-bits; they are drawn once each."""
    ways = sum(
        comb(marked, found) * comb(people - marked, drawn - found) for found in range(least, min(marked, drawn) + 1)
    )
    return (times * ways) << bits <= comb(people, drawn)

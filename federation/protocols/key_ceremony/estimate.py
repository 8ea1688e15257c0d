"""What a ceremony will cost, before it begins: tries are geometric, so the mean says little without the rest.

One number of k bits in k ln 2 is prime; of those without the primes of M so many more as a product over these says
(1.781 ln 719 for a key of 2048 bits, Mertens). A modulus takes two.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, prod

from federation.crypto import ot
from federation.protocols.key_ceremony.candidates import BASES, SIFTED_TO
from federation.protocols.key_ceremony.products import layout_of
from federation.protocols.key_ceremony.residues import plan_of
from federation.protocols.key_ceremony.terms import Ceremony

LINE = 12_500_000  # bytes a second that are supposed where nobody knows better: 100 Mbit/s
SETUP_S = 1.0  # until transfers are set up, and from a modulus to a key
COMPUTING_NS = 85  # of one holder on one core, for every byte that it sends: 73 measured at 2048 bits, 92 at 3072
_WORD_BYTES = 400  # of a word with its signature, without boxes and body


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Tries until a modulus is found, and bytes between all holders together, before sealing.

    Attributes:
        mean: expected tries.
        candidate_bytes: of one try, boxes and bodies.
        most_sent_bytes: of one try, by the holder who sends most.
        setup_bytes: once.
    """

    mean: float
    candidate_bytes: int
    most_sent_bytes: int
    setup_bytes: int

    def tries(self, share: float) -> int:
        """Return how many tries are enough in so large a share of ceremonies: 0.5 is the median, 0.9 the p90."""
        return ceil(log(1 - share) / log(1 - 1 / self.mean))

    def sent(self, share: float | None = None) -> int:
        """Return the bytes that the holder who sends most sends, in such a share of ceremonies; in the mean if none."""
        return self.setup_bytes + round(self.most_sent_bytes * (self.mean if share is None else self.tries(share)))

    def seconds(self, share: float | None = None, line: int = LINE) -> float:
        """Return roughly how long such a share of ceremonies takes, over a line of so many bytes a second."""
        sent = self.sent(share)
        return 2 * SETUP_S + sent * COMPUTING_NS / 1e9 + sent / line

    def traffic(self, share: float | None = None) -> int:
        """Return the bytes that such a share of ceremonies stays below; in the mean when none is said."""
        return self.setup_bytes + round(self.candidate_bytes * (self.mean if share is None else self.tries(share)))


def longest(ceremony: Ceremony) -> tuple[int, int]:
    """Return the most bytes of a box and of a body: whoever receives more need not look at it."""
    plan, k, width = plan_of(ceremony.bits), ceremony.batch, ceremony.bits // 8
    layouts = (layout_of(plan.sieve, 2 * k), layout_of(plan.product, k), layout_of(plan.exponent, 1))
    boxes = [max(ot.message_bytes(layout.words), layout.correction_bytes) for layout in layouts]
    opened = 2 * (len(plan.sieve) + len(plan.product)) * k + 32
    said = (opened, k * width, (BASES - 1) * width, 5 * width, 2 * width * len(ceremony.holders))
    return max(ot.COLUMNS * ot.GROUP_BYTES, *boxes), max(said)


def estimate_of(ceremony: Ceremony) -> Estimate:
    """Return what to expect of this ceremony."""
    plan, n, k = plan_of(ceremony.bits), len(ceremony.holders), ceremony.batch
    prime = 2 * prod(l / (l - 1) for l in plan.sieve_primes) / (plan.factor_bits * log(2))
    tested = (log(plan.largest_sieved) / log(SIFTED_TO)) ** 2
    sieve, product = layout_of(plan.sieve, 2 * k), layout_of(plan.product, k)
    choices = [ot.message_bytes(layout.words) / k for layout in (sieve, product)]
    corrections = [layout.correction_bytes / k for layout in (sieve, product)]
    width = ceremony.bits // 8
    said = 2 * (len(plan.sieve) + len(plan.product)) + tested * width + width
    words = _WORD_BYTES * (n + 6) / k
    each = choices[1] + corrections[1] + said + words  # from every holder to every other one
    pairs = n * (n - 1)
    return Estimate(
        mean=prime**-2,
        candidate_bytes=round(pairs * each + pairs / 2 * (choices[0] + corrections[0])),
        most_sent_bytes=round((n - 1) * (each + max(choices[0], corrections[0]))),
        setup_bytes=pairs * ((1 + ot.COLUMNS) * ot.GROUP_BYTES + 2 * ot.COLUMNS * ot.SEED_BYTES + 3 * _WORD_BYTES),
    )

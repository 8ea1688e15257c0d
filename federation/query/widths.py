"""How many bits one party's number has in a round, from the declared ranges alone: what decides an encrypted slot.

The same at every member, since it follows from the query and the joint description: no party's data set has a say, and
a width tells nothing about anybody. Where a number would still be longer, its owner refuses before anything is sent.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from federation.domain.catalogue import Dataset
from federation.query import bounds
from federation.query.query import SumQuery, shape
from federation.query.round import Phase, Round

# Rows of one party: 68,718,428,160, so that 2^62 a row, an engine's last ulps included, stays below 2^98 in all.
MOST_ROWS: Final = 2**36 - 2**20
FLAG_BITS: Final = 2  # 0 or 1, and a sign
_SLACK: Final = Fraction(1, 2**40)  # the last ulps of an engine's functions, as the oracle allows them


def value_bits(asked: Round, dataset: Dataset) -> int:
    """Return the bits of the longest number that a party of at most MOST_ROWS rows can have, its sign included.

    Args:
        asked: the round; a round of support has flags only.
        dataset: the joint description.

    Raises:
        Misuse: a query without a meaning, or without a finite bound.
    """
    if asked.phase is Phase.SUPPORT:
        return FLAG_BITS
    greatest = max(_greatest(query, dataset) for query in asked.queries)
    return (MOST_ROWS * greatest).bit_length() + 1


def _greatest(query: SumQuery, dataset: Dataset) -> int:
    """Return the greatest magnitude that one row adds to any number of the query; rows are counted: at least 1."""
    return max((_of(found) for found in shape(query, dataset).intervals), default=1)


def _of(found: bounds.Interval) -> int:
    if found.integer:
        return max(1, int(found.bound))
    scaled = Fraction(found.bound) * Fraction(2) ** bounds.scale(found) * (1 + _SLACK)
    return int(scaled) + 1  # rounded half-even, and at least 1

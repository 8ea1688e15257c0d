"""Sums at their edges: what all parties can add up to is known before anything is masked, and does not wrap around.

A packed lane that overflows changes its neighbour, and nobody could tell from the total; so the parameters refuse it.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from federation.crypto.encoding import BadTotal, Packing
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.protocols.events import Contribute, Received
from federation.protocols.setup import Check, chunked
from federation.query import bounds
from federation.query.expression import Col
from tests.protocols.cohort import Cohort, names, sent

LENGTH = 9
ROWS = 2**57  # more rows than any table has
MOST_PARTIES = 100


def summed(packing: Packing, n: int, values: NDArray[np.float64]) -> bytes:
    """The total of n parties that all have these values, through real machines."""
    cohort = Cohort(n, packing.elements, ring=packing.ring.name, encoding=packing.digest, check=Check.SAMPLE)
    cohort.shared()
    for name in names(n):
        contribution = Contribute(spec=cohort.spec, vector=packing.encode(values).words)
        cohort.receive(Received(parcel=sent(cohort.parties[name].give(contribution))))
    cohort.opened()
    (release,) = cohort.parties["p0"].released
    return release.total


def most_bits(n: int, lanes: int) -> int:
    """The most bits of which n numbers fit a lane."""
    return max(
        bits for bits in range(2, 32) if n * ((1 << bits) - 1) < 1 << min((64 if lanes < 5 else 128) // lanes, 53)
    )


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5, 7, 9])
@pytest.mark.parametrize("n", [3, 4, 7])
def test_the_greatest_numbers_of_all_parties_fit_their_lanes_exactly(n: int, lanes: int) -> None:
    packing = Packing(length=LENGTH, lanes=lanes, bits=most_bits(n, lanes), clip=1.0, parties=n)
    for value in (1.0, -1.0):
        total = summed(packing, n, np.full(LENGTH, value))
        assert packing.decode(chunked(total), n).values.tolist() == [n * value] * LENGTH


@pytest.mark.parametrize("lanes", [3, 4, 5, 7, 9])
@pytest.mark.parametrize("n", [3, 4, 7, 100])
def test_one_bit_more_is_no_packing(n: int, lanes: int) -> None:
    with pytest.raises(Misuse, match="do not fit"):
        Packing(length=LENGTH, lanes=lanes, bits=most_bits(n, lanes) + 1, clip=1.0, parties=n)


def test_more_contributors_than_a_packing_is_for_are_refused() -> None:
    packing = Packing(length=LENGTH, lanes=3, bits=most_bits(3, 3), clip=1.0, parties=3)
    with pytest.raises(Misuse):
        packing.decode(chunked(bytes(packing.size_bytes)), 4)


@pytest.mark.parametrize("lanes", [4, 5])
def test_the_planted_fault_of_a_lane_that_is_too_narrow_spoils_its_neighbour(
    lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Packing, "__post_init__", lambda _: None)
    packing = Packing(length=LENGTH, lanes=lanes, bits=most_bits(3, lanes) + 1, clip=1.0, parties=3)
    total = summed(packing, 3, np.full(LENGTH, 1.0))
    try:
        decoded = packing.decode(chunked(total), 3).values.tolist()
    except BadTotal:
        return  # where the check element sees it
    assert decoded != [3.0] * LENGTH


@pytest.mark.parametrize("number", [2**127, -(2**127) - 1, 10**60])
def test_a_number_that_does_not_fit_the_ring_is_never_masked(number: int) -> None:
    with pytest.raises(Misuse, match="does not fit 128 bits") as caught:
        Contribute.of(Cohort(3).spec, [number])
    assert str(number) not in str(caught.value)


@pytest.mark.parametrize("high", [1, 1000, 2**52, 2**62, 2**70, 1e300])
def test_no_statistic_of_a_hundred_parties_can_wrap_around(high: float) -> None:
    """A scaled row is at most 2^62, so all rows of all parties stay below 2^127: no sum of them changes its sign."""
    dataset = Dataset(
        name="data",
        title="Data",
        unit="row",
        k=1,
        version="1",
        columns=(Column(name="x", kind=Kind.REAL, low=-float(high), high=float(high)),),
    )
    (interval,) = bounds.term_intervals((Col("x"),), dataset)
    greatest_row = math.ldexp(float(interval.bound), bounds.scale(interval))
    assert greatest_row <= 2**62
    assert MOST_PARTIES * ROWS * 2**62 < 2**127


@pytest.mark.parametrize("n", [3, 10])
def test_sums_at_the_edge_of_the_ring_are_exact(n: int) -> None:
    edge = (2**127 - 1) // n
    assert Cohort(n, 2).total({name: [edge, -edge] for name in names(n)}) == [n * edge, -n * edge]

"""Every order of frames in one secure sum of three parties, with at most one crash, one duplicate or one recall."""

from __future__ import annotations

import pytest

from tests.simulation.interleavings import Sums, explored


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crashes", "duplicates", "recalls"), [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 1), (1, 0, 1)]
)
def test_every_order_ends_exact_or_waits_for_the_one_who_is_down(crashes: int, duplicates: int, recalls: int) -> None:
    sums = Sums()
    states, steps, endings = explored(sums, sums.start(crashes=crashes, duplicates=duplicates, recalls=recalls))
    print(f"{states} states, {steps} steps, {sum(endings.values())} ends: {dict(endings)}")
    assert endings["released by all"]
    if crashes and not recalls:
        assert endings["paused for the one who is down"]

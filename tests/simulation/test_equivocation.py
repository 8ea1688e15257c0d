"""A coordinator and up to c parties that show everybody whatever suits them: what they can put together afterwards."""

from __future__ import annotations

import pytest

from tests.simulation.equivocation import Wrong, played


@pytest.mark.slow
def test_what_is_known_in_the_end_is_one_sum_of_the_honest_ones_or_nothing() -> None:
    reached = played(range(400))
    print(dict(reached))
    assert reached["a total is open"] > 50
    assert reached["nothing is open"] > 50
    assert reached["violations"] > 50


def test_one_colluder_more_than_is_promised_reads_a_number() -> None:
    with pytest.raises(Wrong, match=r"can be read|opened alone|two totals"):
        played(range(400), beyond=1)


def test_parties_that_forget_what_they_agreed_to_give_a_number_away() -> None:
    with pytest.raises(Wrong, match=r"can be read|opened alone|two totals"):
        played(range(400), forgetful=True)

"""Five hundred seeded lists of mishaps over real drivers: nobody is counted twice, no sum is wrong, nothing hangs.

`make simulate` plays ten thousand. A list that fails is told by its seed and cut down to what its failure needs.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter

import pytest

from tests.simulation import faults
from tests.simulation.people import roster
from tests.simulation.puppets import play
from tests.simulation.schedules import drawn, fault_of, quick, run, smallest, told

SEEDS = range(int(os.environ.get("SIMULATED", "500")))
ENDINGS = {
    "released by all",
    "released without some",
    "refused: one set per query",
    "refused: no answer",
    "aborted by the deadline",
    "aborted by name",
    "cancelled",
}
# Among the first schedules: a fault that needs a rarer list is planted where a test brings it about on purpose.
CAUGHT_EARLY = ("forgets_what_it_sent", "seals_after_it_sent", "answers_without_record", "answers_twice")


def failure(seed: int, fault: BaseException) -> str:
    """The seed, and the shortest list of operations that still goes wrong."""
    least = smallest(drawn(seed), lambda schedule: fault_of(schedule) is not None)
    return f"seed {seed}: {fault}\n{told(least)}"


@pytest.mark.slow
@pytest.mark.timeout(36_000)
def test_no_list_of_mishaps_counts_anybody_twice_or_leaves_a_job_hanging() -> None:
    roster()
    endings: Counter[str] = Counter()
    began = said = time.monotonic()
    with quick():
        for done, seed in enumerate(SEEDS, 1):
            try:
                run(drawn(seed), endings)
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is told with its list
                pytest.fail(failure(seed, fault))
            if time.monotonic() - said > 10:
                said = time.monotonic()
                rate = done / (said - began)
                left = (len(SEEDS) - done) / rate
                print(
                    f"{done} of {len(SEEDS)} schedules, {rate:.0f} a second, {left:.0f} s left: {dict(endings)}",
                    file=sys.stderr,
                    flush=True,
                )
    print(f"{len(SEEDS)} schedules: {dict(endings)}")
    assert set(endings) >= ENDINGS, "each of them is reached"


@pytest.mark.parametrize("name", CAUGHT_EARLY)
def test_a_planted_fault_is_found_by_the_same_lists(name: str) -> None:
    roster()
    with quick(), faults.PLANTED[name]():
        assert any(fault_of(drawn(seed)) is not None for seed in range(40))


@pytest.mark.slow
def test_a_lying_coordinator_never_has_one_query_opened_over_two_sets() -> None:
    """It may offer, recall, bundle and withhold whatever it has signatures for, in several jobs at once."""
    reached: Counter[str] = Counter()
    with quick():
        for seed in range(100):
            play(seed, 150, reached)
    print(dict(reached))
    assert {"can be opened", "proof", "withdrawal 1", "unmask 1"} <= set(reached), "it comes far enough to do harm"

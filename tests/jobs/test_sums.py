"""Which secure sums a job has: who is in each, how many must be, and that what was promised is kept to the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from federation.domain.job import Computation, Job
from federation.errors import Refused
from federation.jobs import sums
from federation.query.expression import Col
from federation.query.query import SumQuery, shape
from federation.query.round import Phase, Round, length
from federation.query.widths import value_bits
from tests.analytics.parties import dataset

HASH = b"j" * 32


def job_of(parties: int, least: int = 3) -> Job:
    names = tuple(f"p{i:02}" for i in range(parties))
    return Job(
        name="test",
        researcher="ana",
        dataset="people",
        computations=(Computation(name="count", version=1),),
        parties=names,
        publications=tuple((name, bytes(32)) for name in names),
        minimum_parties=least,
        deadline_ms=1,
        max_rounds=8,
        roster_hash=bytes(32),
        token=bytes(16),
    )


#            parties  minimum  least of the first sum
LEAST = [(3, 3, 3), (4, 3, 3), (4, 4, 4), (5, 3, 4), (5, 5, 5), (7, 3, 5), (7, 6, 6), (10, 3, 7), (10, 100, 10)]


@pytest.mark.parametrize(("parties", "minimum", "least"), LEAST)
def test_the_first_sum_is_opened_over_as_many_as_the_job_and_its_threshold_ask_for(
    parties: int, minimum: int, least: int
) -> None:
    job = job_of(parties, minimum)
    setup = sums.setup(job, HASH, index=0, attempt=0, contributors=job.parties)
    assert (setup.parties, setup.least) == (job.parties, least)
    assert setup == sums.setup(job, HASH, index=0, attempt=0, contributors=job.parties[:-1]), "whoever was counted"


def test_a_later_sum_is_between_exactly_those_who_were_counted() -> None:
    job = job_of(7)
    counted = job.parties[:3] + job.parties[5:]
    setup = sums.setup(job, HASH, index=1, attempt=1, contributors=counted)
    assert (setup.parties, setup.least) == (counted, 5)


@pytest.mark.parametrize("parties", range(3, 101))
def test_what_was_promised_before_is_kept_with_the_fewest_who_may_be_left(parties: int) -> None:
    """So many colluders open nothing, and are fewer than those who sign, also when all who may be lost are lost."""
    job = job_of(parties)
    promised = sums.promised(job.parties)
    first = sums.setup(job, HASH, index=0, attempt=0, contributors=job.parties)
    assert first.colluders >= promised.colluders
    for left in range(first.least, parties + 1):
        counted = job.parties[:left]
        later = sums.setup(job, HASH, index=1, attempt=1, contributors=counted)
        assert later.colluders >= promised.colluders
        assert sums.promised(counted).threshold > promised.colluders, "an honest party is among those who sign"


def test_two_setups_of_one_job_are_never_the_same() -> None:
    job = job_of(5)
    made = [
        sums.setup(job, HASH, index=index, attempt=attempt, contributors=counted).hash
        for index in range(3)
        for attempt in range(3)
        for counted in (job.parties, job.parties[1:])
        if index or counted is job.parties
    ]
    made.append(sums.setup(job, b"o" * 32, index=0, attempt=0, contributors=job.parties).hash)
    made.append(sums.setup(replace(job, minimum_parties=5), HASH, index=0, attempt=0, contributors=job.parties).hash)
    assert len(set(made)) == len(made)


def test_keys_are_used_on_only_if_nobody_is_missing_since_they_were_dealt() -> None:
    names = job_of(5).parties
    assert sums.first_attempt(names, names) == 0
    assert sums.first_attempt(names, names[1:]) == 1


def test_two_parties_are_promised_nothing() -> None:
    with pytest.raises(Refused) as caught:
        sums.promised(("a", "b"))
    assert caught.value.rule == "secure_sum/parties"


KEY = b"k" * 32


@pytest.mark.parametrize("parties", [3, 5, 10])
def test_under_a_joint_key_nobody_may_be_missing_and_all_others_may_collude(parties: int) -> None:
    job = replace(job_of(parties), key=KEY)
    for index in (0, 3):
        setup = sums.setup(job, HASH, index=index, attempt=index, contributors=job.parties)
        assert (setup.threshold, setup.least, setup.colluders, setup.key) == (parties, parties, parties - 1, KEY)
        assert setup.withdrawals == parties, "an attempt is free again only if all holders withdraw it"
    promised = sums.promised(job.parties, KEY)
    assert promised.threshold == parties > promised.colluders, "all sign, so that an honest party is among them"


def test_fewer_contributors_never_become_the_holders_of_a_key() -> None:
    job = replace(job_of(4), key=KEY)
    setup = sums.setup(job, HASH, index=1, attempt=0, contributors=job.parties[:3])
    assert setup.parties == job.parties


JOINT = dataset(k=1, own_figures=True)
DUE = Round(
    index=0,
    phase=Phase.SUMS,
    queries=(SumQuery(dataset="people", terms=(Col("age"),)),),
    closed=((False,) * shape(SumQuery(dataset="people", terms=(Col("age"),)), JOINT).rows,),
)


def test_a_spec_has_the_width_of_its_round_where_ciphertexts_need_it() -> None:
    masked = sums.setup(job_of(3), HASH, index=0, attempt=0, contributors=job_of(3).parties)
    keyed = sums.setup(replace(job_of(3), key=KEY), HASH, index=0, attempt=0, contributors=job_of(3).parties)
    assert sums.spec(masked, DUE, JOINT, bytes(32)).value_bits == 128, "masks fill their ring"
    spec = sums.spec(keyed, DUE, JOINT, bytes(32))
    assert (spec.value_bits, spec.length) == (value_bits(DUE, JOINT), length(DUE, JOINT))
    assert spec.value_bits < 48
    support = replace(DUE, phase=Phase.SUPPORT, closed=())
    assert sums.spec(keyed, support, JOINT, bytes(32)).value_bits == 2

"""What is told before a ceremony begins, beside what happens."""

from __future__ import annotations

import gmpy2
import pytest

from federation.protocols.key_ceremony import candidates
from federation.protocols.key_ceremony.estimate import estimate_of, longest
from federation.protocols.key_ceremony.residues import plan_of
from federation.protocols.key_ceremony.terms import Ceremony
from tests.protocols.key_ceremony.players import Table, ceremony_of, ended, names


def standard(n: int, bits: int) -> Ceremony:
    return Ceremony.standard(id=bytes(32), holders=names(n), bits=bits)


def test_the_mean_is_what_primes_are() -> None:
    """Factors as a ceremony makes them, counted: the squared share of primes among them."""
    plan, count = plan_of(512), 40_000
    units, above = candidates.drawn(plan, b"p" * 32, count)
    primes = sum(gmpy2.is_strong_prp(factor, 2) for factor in candidates.factor_shares(plan, True, 2, units, above))
    assert 0.9 < estimate_of(standard(3, 512)).mean / (count / primes) ** 2 < 1.1


@pytest.mark.parametrize(("bits", "mean"), [(512, 362), (1024, 1126), (2048, 3618), (3072, 7247)])
def test_tries_are_geometric(bits: int, mean: int) -> None:
    estimate = estimate_of(standard(3, bits))
    assert round(estimate.mean) == mean
    assert estimate.tries(0.5) == pytest.approx(0.693 * mean, rel=0.01)
    assert estimate.tries(0.9) == pytest.approx(2.303 * mean, rel=0.01)
    assert estimate.tries(0.99) == pytest.approx(4.605 * mean, rel=0.01)


def test_traffic_is_below_what_was_promised() -> None:
    """400 KB a candidate, 1.2 GB at 2048 bits and 3.7 GB at 3072 for three holders."""
    assert estimate_of(standard(3, 2048)).candidate_bytes < 90_000
    assert estimate_of(standard(3, 2048)).traffic() < 350e6
    assert estimate_of(standard(3, 3072)).traffic() < 1.0e9
    assert estimate_of(standard(3, 2048)).traffic(0.9) > 2 * estimate_of(standard(3, 2048)).traffic()
    assert estimate_of(standard(10, 2048)).most_sent_bytes > 4 * estimate_of(standard(3, 2048)).most_sent_bytes


@pytest.mark.parametrize("n", [2, 3])
def test_bytes_are_those_that_are_sent(n: int) -> None:
    ceremony = ceremony_of(n, batch=128, salt="bytes")
    whole = ended(ceremony)
    batches = -(-(whole.players["p0"].done.tries) // 128)  # type: ignore[union-attr]
    assert whole.bytes / (128 * batches) == pytest.approx(estimate_of(ceremony).candidate_bytes, rel=0.06)


def test_the_standard_batch_suits_bits_and_holders() -> None:
    assert [standard(3, bits).batch for bits in (512, 1024, 2048, 3072, 4096)] == [128, 256, 512, 512, 512]
    assert [standard(n, 2048).batch for n in (2, 3, 5, 10)] == [512, 512, 256, 128]


@pytest.mark.parametrize("n", [2, 3])
def test_no_box_and_no_body_is_longer_than_was_said(n: int) -> None:
    ceremony = ceremony_of(n, salt={2: 1, 3: 3}[n])
    box, body = longest(ceremony)
    sends = [send for table in Table(ceremony).run() for player in table.players.values() for send in player.sends]
    assert max(len(send.box) for send in sends) <= box
    assert max(len(send.word.body) for send in sends) <= body
    at_2048 = longest(standard(3, 2048))
    assert max(len(send.box) for send in sends) < at_2048[0] < 4.2e6
    assert at_2048[1] < 150_000
    assert longest(standard(3, 3072))[0] < 6.4e6


def test_times_and_bytes_of_one_holder_grow_with_the_share_of_ceremonies_and_with_a_slower_line() -> None:
    for bits in (512, 2048, 3072):
        expected = estimate_of(Ceremony.standard(id=bytes(32), holders=names(3), bits=bits))
        assert expected.sent() < expected.traffic()
        assert expected.sent(0.5) < expected.sent() < expected.sent(0.9)
        assert 0 < expected.seconds(0.5) < expected.seconds(0.9) < expected.seconds(0.9, line=1_000_000)

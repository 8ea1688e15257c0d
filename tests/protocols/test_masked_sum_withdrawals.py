"""A party that has not given its shares can sign that it never will: n - t + 1 + c such words leave too few to open.

The word cannot be had from a party that has helped to open, and after it nothing of the attempt goes on.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from federation.errors import ProtocolViolation
from federation.protocols.events import Contribute, Delivered, Parcel, Received, Send, Withdraw
from federation.protocols.masked_sum import MaskedSum
from federation.protocols.masked_sum.messages import Consent, Unmask
from federation.protocols.withdrawal import Withdrawal
from tests.protocols.cohort import COORDINATOR, PHASES, Cohort, attested, names, remember_exchanges

pytestmark = pytest.mark.usefixtures("one_exchange_a_pair")


@pytest.fixture
def one_exchange_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    remember_exchanges(monkeypatch)


def vectors_of(n: int) -> dict[str, list[int]]:
    return {party: [i] for i, party in enumerate(names(n))}


def at(n: int, phase: str) -> Cohort:
    """A cohort in which everybody has done everything up to, not with, this phase."""
    cohort = Cohort(n)
    for earlier in PHASES[: PHASES.index(phase)]:
        cohort.take(earlier, names(n), vectors_of(n))
    return cohort


def withdrawn(cohort: Cohort, party: str) -> bool:
    """Ask a party for the word; whether it gives it."""
    effects = cohort.parties[party].give(Withdraw())
    for effect in effects:
        assert isinstance(effect, Send)
        assert effect.message == Withdrawal(setup_hash=cohort.setup.hash, party=party)
        parcel = Parcel(message=attested(effect.message))
        MaskedSum.check_withdrawal(cohort.setup, parcel, COORDINATOR)
    return bool(effects)


@pytest.mark.parametrize(("phase", "gives"), [(phase, phase not in ("advert", "result")) for phase in PHASES])
def test_the_word_can_be_had_until_the_shares_are_given(phase: str, gives: bool) -> None:
    cohort = at(4, phase)
    before = cohort.parties["p0"].state
    assert withdrawn(cohort, "p0") == gives
    if not gives:
        assert cohort.parties["p0"].state == before, "nothing was said and nothing changed"
        return
    assert type(cohort.parties["p0"].state).__name__ == "Withdrawn"
    assert cohort.parties["p0"].state.ended


def test_nothing_of_the_attempt_goes_on_after_the_word() -> None:
    cohort = at(4, "unmask")  # it has consented; t consents lie in its inbox
    withdrawn(cohort, "p0")
    state = cohort.parties["p0"].state
    assert cohort.deliver("p0") == []
    assert cohort.parties["p0"].give(Contribute.of(cohort.spec, [1])) == ()
    for bundle in [event.parcels for event in at(4, "result").parties["p1"].events if isinstance(event, Delivered)]:
        assert cohort.parties["p0"].give(Delivered(parcels=bundle)) == ()
    assert cohort.parties["p0"].state == state
    assert not [e for e in cohort.parties["p0"].effects if isinstance(e, Send) and isinstance(e.message, Unmask)]


def test_the_word_said_again_is_the_same_word() -> None:
    cohort = at(3, "consent")
    first = cohort.parties["p0"].give(Withdraw())
    assert cohort.parties["p0"].give(Withdraw()) == first


def times_opened(n: int, words: int) -> tuple[int, int]:
    """All ways in which so many give the word, c of them as a lie: how many there are, how many open all the same."""
    liars = Cohort(n).setup.colluders
    ways = list(combinations(names(n)[liars:], words - liars))
    opened = 0
    for honest in ways:
        cohort = at(n, "unmask")
        for party in honest:
            assert withdrawn(cohort, party)
        cohort.take("unmask", names(n), vectors_of(n), wait=True)
        opened += bool(cohort.aggregator.released)
    return len(ways), opened


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_with_enough_words_nobody_can_open_and_with_one_less_everybody_still_could(n: int) -> None:
    enough = Cohort(n).setup.withdrawals
    ways, opened = times_opened(n, enough)
    assert ways
    assert opened == 0
    ways, opened = times_opened(n, enough - 1)
    assert opened == ways


def test_a_new_attempt_has_other_keys_seeds_and_masks() -> None:
    one, other = at(4, "consent"), Cohort(4, attempt=1)
    for phase in PHASES[:3]:
        other.take(phase, names(4), vectors_of(4))
    said = [{p.message.digest for p in cohort.waiting()} for cohort in (one, other)]
    assert said[0].isdisjoint(said[1])
    for party in names(4):
        chunks = [
            event.parcel.chunks[0]
            for cohort in (one, other)
            for event in cohort.aggregator.events
            if isinstance(event, Received) and event.parcel.message.sender == party and len(event.parcel.chunks) == 1
        ]
        assert len(set(chunks)) == 2, "the same numbers look different"


def test_a_word_on_another_attempt_of_another_or_with_chunks_proves_nothing() -> None:
    setup = Cohort(4).setup
    word = Withdrawal(setup_hash=setup.hash, party="p0")
    sound = Parcel(message=attested(word))
    MaskedSum.check_withdrawal(setup, sound, COORDINATOR)
    false = (
        (Parcel(message=attested(replace(word, setup_hash=Cohort(4, attempt=1).setup.hash))), COORDINATOR, "another"),
        (Parcel(message=attested(word, sender="p1")), "p1", "another party's name"),
        (Parcel(message=attested(replace(word, party="p9"))), COORDINATOR, "a stranger"),
        (replace(sound, chunks=(b"x",)), COORDINATOR, "another"),
        (Parcel(message=attested(Consent(spec_hash=b"s", u3_hash=b"u", party="p0"))), COORDINATOR, "something else"),
    )
    for parcel, culprit, got in false:
        with pytest.raises(ProtocolViolation, match=got) as caught:
            MaskedSum.check_withdrawal(setup, parcel, COORDINATOR)
        assert caught.value.party == culprit

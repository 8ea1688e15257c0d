"""A false share is left aside where there are enough others, and its giver is named where there are not.

Who gave false shares and who dealt them is told apart: a dealer signs a digest of every share. Nobody else is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from federation.crypto import shamir
from federation.errors import ProtocolViolation
from federation.protocols.events import Parcel, Received
from federation.protocols.masked_sum import masks
from federation.protocols.masked_sum.messages import Unmask
from federation.protocols.secure_sum import Awaits
from tests.protocols.cohort import PHASES, Cohort, attested, names, plain_sum

Split = Callable[[bytes, int, int, bytes], tuple[bytes, ...]]
OTHER = bytes(33)  # a sound share of something else


def vectors_of(n: int) -> dict[str, list[int]]:
    return {party: [16**i] for i, party in enumerate(names(n))}


def unmasks(n: int, lost: str = "") -> tuple[Cohort, dict[str, Parcel]]:
    """A cohort in which all have consented, one lost before its head; and what everybody else is about to give."""
    cohort = Cohort(n)
    there = [party for party in names(n) if party != lost]
    for phase in PHASES[:4]:
        cohort.take(phase, names(n) if phase in PHASES[:2] else there, vectors_of(n))
    return cohort, {party: answer for party in there for answer in cohort.deliver(party)}


def lied(parcel: Parcel, kind: str, number: int, share: bytes = OTHER) -> Parcel:
    """The same, with one share replaced and signed so."""
    value = parcel.message.value
    assert isinstance(value, Unmask)
    shares = list(getattr(value, kind))
    shares[number] = share
    return Parcel(message=attested(replace(value, **{kind: tuple(shares)})))  # type: ignore[arg-type]


def give(cohort: Cohort, *parcels: Parcel) -> None:
    for parcel in parcels:
        cohort.receive(Received(parcel=parcel))


# --- who gives one ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("about", [0, 2, 3])
@pytest.mark.parametrize("liar", ["p0", "p1", "p3"])
def test_one_false_share_among_more_than_enough_is_left_aside(liar: str, about: int) -> None:
    cohort, given = unmasks(4)
    if names(4)[about] == liar:
        return  # of its own secret nobody vouches for its share: see below
    others = [given[party] for party in names(4) if party != liar]
    give(cohort, lied(given[liar], "self_shares", about), *others[:2])
    assert cohort.aggregator.state.awaits == Awaits(what="unmask", of=(others[2].message.sender,))
    assert not cohort.aggregator.released
    give(cohort, others[2])
    assert cohort.aggregator.released[0].total == plain_sum(cohort, vectors_of(4), names(4))


@pytest.mark.parametrize("n", [5, 7, 10])
def test_every_share_of_so_many_may_be_false_that_t_are_left(n: int) -> None:
    cohort, given = unmasks(n)
    liars = names(n)[cohort.setup.threshold :]
    false = {party: lied(lied(given[party], "self_shares", 0), "self_shares", 1) for party in liars}
    give(cohort, *false.values())
    give(cohort, *(given[party] for party in names(n) if party not in liars))
    assert cohort.aggregator.released[0].total == plain_sum(cohort, vectors_of(n), names(n))


def test_one_false_share_of_a_lost_party_s_key_is_left_aside() -> None:
    cohort, given = unmasks(7, "p2")  # t = 5 of the other six
    give(cohort, lied(given["p0"], "key_shares", 0), *(given[p] for p in names(7)[3:]))
    assert cohort.aggregator.state.awaits == Awaits(what="unmask", of=("p1", "p2"))
    give(cohort, given["p1"])
    counted = tuple(given)
    assert cohort.aggregator.released[0].total == plain_sum(cohort, vectors_of(7), counted)


def liars() -> list[tuple[int, str, str, str, int]]:
    """(n, who is lost, the liar, the kind of share, whose secret it is about) where every share is needed."""
    found = [(3, "", liar, "self_shares", about) for liar in names(3) for about in range(3) if names(3)[about] != liar]
    there = ("p0", "p2", "p3")
    found += [(4, "p1", liar, "self_shares", about) for liar in there for about in range(3) if there[about] != liar]
    return found + [(4, "p1", liar, "key_shares", 0) for liar in there]


@pytest.mark.parametrize(("n", "lost", "liar", "kind", "about"), liars())
def test_where_all_are_needed_the_one_who_gave_a_false_share_is_named(
    n: int, lost: str, liar: str, kind: str, about: int
) -> None:
    cohort, given = unmasks(n, lost)
    last = [p for p in given if p != liar][-1]
    parcels = {**given, liar: lied(given[liar], kind, about)}
    give(cohort, *(parcels[p] for p in given if p != last))
    if lost:
        give(cohort, parcels[last])
    finish = cohort.late if lost else lambda: give(cohort, parcels[last])  # a lost one may give one more until then
    with pytest.raises(ProtocolViolation, match="the shares that were dealt to it") as caught:
        finish()
    assert (caught.value.party, caught.value.phase) == (liar, "unmask")
    assert not cohort.aggregator.released


def test_at_the_deadline_the_one_who_gave_a_false_share_is_named_and_not_those_who_are_missing() -> None:
    cohort, given = unmasks(4)
    give(cohort, lied(given["p1"], "self_shares", 0), given["p0"], given["p2"])
    with pytest.raises(ProtocolViolation) as caught:
        cohort.late()
    assert caught.value.party == "p1"


@pytest.mark.parametrize(
    ("spoil", "got"),
    [
        (lambda value: replace(value, self_shares=value.self_shares[1:]), "2 and 0"),
        (lambda value: replace(value, key_shares=(OTHER,)), "3 and 1"),
        (lambda value: replace(value, self_shares=(b"short", *value.self_shares[1:])), "bytes"),
        (lambda value: replace(value, self_shares=(b"\xff" * 33, *value.self_shares[1:])), "not below the prime"),
    ],
    ids=["one too few", "both of one peer", "a wrong length", "not below the prime"],
)
def test_shares_of_another_number_or_form_are_refused_at_once(spoil: Callable[[Unmask], Unmask], got: str) -> None:
    cohort, given = unmasks(3)
    value = given["p1"].message.value
    assert isinstance(value, Unmask)
    with pytest.raises(ProtocolViolation, match=got) as caught:
        give(cohort, Parcel(message=attested(spoil(value))))
    assert caught.value.party == "p1"


def test_the_planted_fault_of_shares_that_nobody_vouched_for_names_an_honest_dealer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(masks, "share_digest", lambda *_: bytes(32))
    cohort, given = unmasks(3)
    with pytest.raises(ProtocolViolation) as caught:
        give(cohort, lied(given["p1"], "self_shares", 0), given["p0"], given["p2"])
    assert caught.value.party == "p0"  # that is what the digests are for


# --- who deals them --------------------------------------------------------------------------------------------------


def of_another_secret(split: Split) -> Split:
    return lambda secret, t, n, entropy: split(bytes(32), t, n, entropy)


def off_the_line(place: int) -> Callable[[Split], Split]:
    def wrong(split: Split) -> Split:
        def dealt(secret: bytes, t: int, n: int, entropy: bytes) -> tuple[bytes, ...]:
            shares = list(split(secret, t, n, entropy))
            shares[place] = OTHER
            return tuple(shares)

        return dealt

    return wrong


def badly_dealt(n: int, dealer: str, how: Callable[[Split], Split], lost: str = "") -> Cohort:
    """A cohort in which one party dealt false shares, and signed so; everybody has consented."""
    cohort = Cohort(n)
    cohort.take("advert", names(n), {})
    answers = [answer for party in names(n) if party != dealer for answer in cohort.deliver(party)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(shamir, "split", how(shamir.split))
        answers += cohort.deliver(dealer)
    give(cohort, *answers)
    there = [party for party in names(n) if party != lost]
    for phase in ("head", "consent"):
        cohort.take(phase, there, vectors_of(n))
    return cohort


@pytest.mark.parametrize("how", [of_another_secret, off_the_line(0), off_the_line(1)], ids=["all", "p0's", "its own"])
def test_a_dealer_whose_seed_does_not_open_is_named_and_not_who_gave_its_shares(
    how: Callable[[Split], Split],
) -> None:
    cohort = badly_dealt(3, "p1", how)
    with pytest.raises(ProtocolViolation, match="p1 dealt shares of something else") as caught:
        cohort.exchange()
    assert (caught.value.party, caught.value.phase) == ("p1", "unmask")


def of_no_secret(_split: Split) -> Split:
    """A polynomial whose value at zero is below the prime and has 257 bits: no secret of 32 bytes."""
    return lambda _secret, _t, n, _entropy: ((1 << 256).to_bytes(33, "big"),) * n


def test_a_dealer_of_shares_that_open_no_secret_at_all_is_named() -> None:
    cohort = badly_dealt(3, "p1", of_no_secret)
    with pytest.raises(ProtocolViolation, match="p1 dealt shares of something else"):
        cohort.exchange()


@pytest.mark.parametrize("how", [of_another_secret, off_the_line(0)], ids=["all", "p0's"])
def test_a_dealer_whose_key_does_not_open_is_named_when_it_is_lost(how: Callable[[Split], Split]) -> None:
    cohort = badly_dealt(4, "p1", how, lost="p1")
    with pytest.raises(ProtocolViolation) as caught:
        cohort.exchange("p0", "p2", "p3")
    assert caught.value.party == "p1"


def test_a_false_share_that_is_not_needed_is_not_noticed_and_does_no_harm() -> None:
    cohort = badly_dealt(4, "p1", off_the_line(3))
    cohort.exchange("p0", "p1", "p2")
    assert cohort.aggregator.released[0].total == plain_sum(cohort, vectors_of(4), names(4))


def test_a_dealer_that_signs_digests_of_other_shares_is_named_by_whoever_opens_the_box(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cohort = Cohort(3)
    cohort.take("advert", names(3), {})
    answers = [answer for party in ("p0", "p2") for answer in cohort.deliver(party)]
    with monkeypatch.context() as patch:
        patch.setattr(masks, "share_digest", lambda *_: bytes(32))
        answers += cohort.deliver("p1")
    give(cohort, *answers)
    for holder in ("p0", "p2"):
        with pytest.raises(ProtocolViolation, match="digests are beside them") as caught:
            cohort.deliver(holder)
        assert (caught.value.party, caught.value.phase) == ("p1", "shares")


def test_digests_of_shares_are_of_one_sum_one_dealer_one_holder_and_one_kind() -> None:
    base = (b"a" * 32, "p0", "p1", "seed", OTHER)
    others = [(b"b" * 32, *base[1:]), (base[0], "p2", *base[2:]), (*base[:2], "p2", *base[3:])]
    others += [(*base[:3], "key", OTHER), (*base[:4], b"\x01" * 33)]
    assert len({masks.share_digest(*arguments) for arguments in (base, *others)}) == 6

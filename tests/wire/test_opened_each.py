"""Several messages verified on two threads: the same values, and the same first refusal, as one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from federation.crypto import blinding
from federation.errors import ProtocolViolation
from federation.protocols.masked_sum.messages import Consent
from federation.wire import envelope
from federation.wire import messages as m
from federation.wire.convert import BODIES
from federation.wire.envelope import LEAST_WORTH_SPREADING, opened_each, signed
from tests.wire.members import RELAY, people, roster, sums


@pytest.fixture
def spread() -> Iterator[None]:
    with ThreadPoolExecutor(2) as pool:
        back = blinding.lend(pool.map)
        yield
        back()


def consents(count: int) -> list[m.Signed]:
    here = people()["guangdong"]
    consent = sums()[Consent.domain]
    assert isinstance(consent, Consent)
    return [signed(here, Consent.domain, replace(consent, u3_hash=bytes([place]) * 32)) for place in range(count)]


def faults_at(places: set[int], messages: list[m.Signed]) -> list[m.Signed]:
    """Every fault another one, so that it shows which was found."""
    ways = [{"signature": bytes(64)}, {"key_id": b"nobody"}, {"domain": "federation/advert/v1"}]
    return [replace(one, **ways[place % 3]) if place in places else one for place, one in enumerate(messages)]  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 1, LEAST_WORTH_SPREADING - 1, LEAST_WORTH_SPREADING, 9])
def test_threads_change_neither_the_values_nor_their_order(count: int, spread: None) -> None:
    found = opened_each(consents(count), roster(), relay=RELAY)
    assert [one.value for one in found] == [BODIES[Consent.domain].decode(one.body) for one in consents(count)]


@pytest.mark.parametrize("places", [{0}, {8}, {1, 2}, {7, 2}, {5, 6}, {0, 8}])
def test_the_first_fault_in_order_is_the_one_that_is_told(places: set[int], spread: None) -> None:
    messages = faults_at(places, consents(9))
    with pytest.raises(ProtocolViolation) as several:
        opened_each(messages, roster(), relay=RELAY)
    with pytest.raises(ProtocolViolation) as alone:
        envelope.opened(messages[min(places)], roster(), relay=RELAY)
    assert several.value.message == alone.value.message


def test_a_signature_that_is_left_for_later_is_a_claim_and_no_other_is() -> None:
    good = consents(3)
    bad = [*good[:2], replace(good[2], signature=bytes(64))]
    assert [one.claim for one in opened_each(good, roster(), relay=RELAY, later={"federation/head/v2"})] == [None] * 3
    claims = [one.claim for one in opened_each(bad, roster(), relay=RELAY, later={Consent.domain})]
    assert [claim is not None and claim.holds() for claim in claims] == [True, True, False]
    for ways in ({"domain": "federation/advert/v1"}, {"key_id": b"nobody"}, {"body": good[0].body[:-1]}):
        with pytest.raises(ProtocolViolation) as caught:
            opened_each([replace(good[0], **ways)], roster(), relay=RELAY, later={Consent.domain})  # type: ignore[arg-type]
        assert caught.value.party == RELAY, "nobody else is blamed for what was not verified"


def test_a_defect_in_a_thread_is_not_lost(spread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_body: bytes) -> object:
        raise TypeError

    monkeypatch.setitem(BODIES, Consent.domain, replace(BODIES[Consent.domain], decode=crash))
    with pytest.raises(TypeError):
        opened_each(consents(9), roster(), relay=RELAY)

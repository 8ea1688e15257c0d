"""A hundred thousand spoiled messages into live machines in every state: each ends typed and named, none is a crash.

The line spoils bytes; an enrolled party (`MALLORY`) and the coordinator sign what they like and work together. Whatever
they send is no frame, is refused in the name of one of the two, is ignored, or is taken: and what is taken never opens
another total, over fewer parties or with other shares than an honest run. No honest member is ever blamed.

`Refused` and `Misuse` are for a driver's own events; no message reaches them, so that they end the test like a crash.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from random import Random

import pytest

from federation.crypto import agreement, signing
from federation.ledger import merkle
from federation.protocols import bundles
from federation.protocols.masked_sum import checks
from tests.attacks.masked_sum.judging import ENDINGS, Judge, moments, remember, report, unreached
from tests.attacks.masked_sum.lying import ATTACKS, pool

MESSAGES = 100_000
OUT_OF_REACH = {
    "party._mask",  # a key that its advert was refused for
    "party._no_box",  # a party that is no neighbour: there is none to 64 parties
    "aggregator._accepted",  # the last case of a match
    "aggregator._late",  # a deadline, which is no message
    "aggregator.step",  # an event of the driver's
}


def fuzzed(count: int, seed: int = 1) -> Judge:
    """Give `count` spoiled messages to machines in every state."""
    draw, judge = Random(seed), Judge()
    names = sorted(moments())
    names += 2 * [name for name in names if not moments()[name][0].state.ended]
    attacks = draw.choices(list(ATTACKS), list(ATTACKS.values()), k=count)
    for number, attack in enumerate(attacks):
        moment = draw.choice(moments()[names[number % len(names)]])
        judge.give(moment, *attack(moment, draw))
    return judge


@pytest.mark.slow
@pytest.mark.timeout(300)  # 20 s of one core; a busy machine takes its time
def test_a_hundred_thousand_spoiled_messages_end_typed_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(monkeypatch)
    before = {name: deepcopy(found[:20]) for name, found in moments().items()}
    judge = fuzzed(MESSAGES)
    assert sum(judge.endings.values()) == MESSAGES
    print(report(judge))
    for role in ("aggregator", "party"):
        for ending in ENDINGS:
            assert judge.reached(ending, role) >= 500, f"{ending} was hardly reached at a {role}"
    machines = {name for name, _ in judge.endings}
    assert len([name for name in machines if name.startswith("aggregator")]) >= 7
    assert len([name for name in machines if name.startswith("party")]) >= 10
    for name in machines:
        reached = judge.endings[name, "refused by the machine"] + judge.endings[name, "ignored"]
        assert reached >= 100, f"hardly anything came as far as {name}"
    never = set(unreached(judge)) - OUT_OF_REACH
    assert not never, f"refusals that no spoiled message reached: {never}"
    assert judge.released >= 20, "true totals are released all the same"
    assert before == {name: found[:20] for name, found in moments().items()}, "no state was changed in place"


def plant_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of a key that fails as programs fail, and not as checks do."""
    real = agreement.canonical_point

    def crash(public: bytes) -> bool:
        if not real(public):
            raise TypeError
        return True

    monkeypatch.setattr(agreement, "canonical_point", crash)


def plant_unchecked_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "verify", lambda *_: True)


def plant_no_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of messages is enough in a bundle."""
    real = bundles.one_each
    monkeypatch.setattr(
        bundles, "one_each", lambda setup, parcels, relay, phase, _least: real(setup, parcels, relay, phase, 0)
    )


def plant_any_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares for another list, or too many or too few of them, pass for those that open this one."""
    monkeypatch.setattr(checks, "unmask", lambda _spec, _list, _counted, _absent, parcel, _relay: parcel.message.value)


def plant_any_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consent to another list passes for one to this."""
    monkeypatch.setattr(checks, "consent", lambda _setup, _spec, _list, parcel, _relay: parcel.message.value)


def plant_any_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks need not be under the signed root."""
    monkeypatch.setattr(merkle, "included", lambda *_: True)


PLANTS = (
    plant_a_crash,
    plant_unchecked_signatures,
    plant_no_least,
    plant_any_shares,
    plant_any_consent,
    plant_any_root,
)


@pytest.mark.parametrize("plant", PLANTS)
def test_a_check_that_lets_something_through_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(monkeypatch)
    assert moments()
    assert pool().shares  # made by honest machines
    plant(monkeypatch)
    with pytest.raises((AssertionError, TypeError, IndexError)):
        fuzzed(MESSAGES // 5)

"""Any n - t parties may be lost at any step: those who are left open their own exact sum, or the sum names who is gone.

Every set of parties that may be lost, and every set of one more, is lost before every step: for three to seven parties
and for ten. Nobody ever releases two totals, all who release one release the same, over the same contributors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import combinations

import pytest

from federation.domain.job import Blame
from federation.errors import ProtocolViolation
from federation.protocols import bundles
from federation.protocols.events import Contribute, DeadlinePassed, Delivered, Parcel, Received, Stopped
from federation.protocols.masked_sum import masks
from federation.protocols.masked_sum.aggregator import Serving
from federation.protocols.secure_sum import Awaits
from federation.protocols.setup import Check
from tests.protocols.cohort import COORDINATOR, PHASES, Cohort, attested, names, plain_sum, remember_exchanges

pytestmark = pytest.mark.usefixtures("one_exchange_a_pair")


@pytest.fixture
def one_exchange_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    remember_exchanges(monkeypatch)


def vectors_of(n: int) -> dict[str, list[int]]:
    """Party i adds 16^i, so the digits of a total tell who was counted how often; and a number of its own."""
    return {party: [16**i, 1 - 2**64 * i] for i, party in enumerate(names(n))}


def prefixes(n: int, **changes: object) -> dict[str, Cohort]:
    """A cohort in which everybody is there, at the point before each phase."""
    cohort, found = Cohort(n, 2, **changes), {}  # type: ignore[arg-type]
    for phase in PHASES:
        found[phase] = cohort.branch()
        cohort.take(phase, names(n), vectors_of(n))
    return found


def due(cohort: Cohort, lost: Mapping[str, str]) -> tuple[tuple[str, ...], set[str]]:
    """By the rules: who is counted, or (), and whom the sum names instead."""
    setup = cohort.setup
    there = {phase: {p for p in setup.parties if PHASES.index(lost.get(p, "result")) > i} for i, phase in PHASE}
    expected, needed = set(setup.parties), setup.least
    for phase in ("advert", "shares", "head"):
        if len(there[phase]) < needed:
            return (), expected - there[phase]
        expected = expected if phase == "head" else there[phase]  # who holds shares may speak, counted or not
    for phase in ("consent", "unmask"):
        if len(there[phase]) < setup.threshold:
            return (), expected - there[phase]
    return tuple(sorted(there["head"])), set()


PHASE = list(enumerate(PHASES[:-1]))


def judge(cohort: Cohort, lost: Mapping[str, str]) -> str:
    """What must hold at the end; returns how it ended."""
    counted, named = due(cohort, lost)
    vectors = vectors_of(len(cohort.parties))
    survivors = [p for p in cohort.parties if p not in lost]
    everybody = (*cohort.parties.values(), cohort.aggregator)
    assert all(len(machine.released) <= 1 for machine in everybody), "nobody releases two totals"
    if not counted:
        assert not any(machine.released for machine in everybody)
        assert {blame.party for blame in cohort.aggregator.blames} == named
        assert {blame.code for blame in cohort.aggregator.blames} == {"unavailable"}
        return "named"
    exact = plain_sum(cohort, vectors, counted)
    for machine in (*(cohort.parties[p] for p in survivors), cohort.aggregator):
        assert [(release.total, release.parties) for release in machine.released] == [(exact, counted)]
        assert machine.state.ended
    assert not any(cohort.parties[p].released for p in lost)
    digits = int.from_bytes(exact[:16], "little")
    times = [(digits >> (4 * i)) % 16 for i in range(len(cohort.parties))]
    assert times == [int(party in counted) for party in cohort.parties]
    return "everybody" if len(counted) == len(cohort.parties) else "survivors"


def lose(n: int, sets: Iterable[tuple[str, ...]], phases: tuple[str, ...] = PHASES, **changes: object) -> Counter[str]:
    """Lose each of these sets of parties before each of these phases; how often each ending was reached."""
    endings: Counter[str] = Counter()
    before = prefixes(n, **changes)
    for phase in phases:
        for gone in sets:
            cohort, lost = before[phase].branch(), dict.fromkeys(gone, phase)
            cohort.run(vectors_of(n), lost, start=phase)
            endings[judge(cohort, lost)] += 1
    return endings


def sets_of(n: int, most: int) -> list[tuple[str, ...]]:
    """Every set of at most so many parties."""
    return [gone for size in range(most + 1) for gone in combinations(names(n), size)]


@pytest.mark.parametrize("n", range(3, 8))
def test_every_set_may_be_lost_before_every_step(n: int) -> None:
    most = n - Cohort(n).setup.threshold
    endings = lose(n, sets_of(n, most + 1))
    safe, unsafe = len(sets_of(n, most)), len(list(combinations(names(n), most + 1)))
    # Lost before the result: counted all the same, and nobody else needs them. Before consents and shares likewise.
    assert endings["named"] == 5 * unsafe
    assert endings["survivors"] == 3 * (safe - 1)
    assert endings["everybody"] == 3 * safe + 3 + unsafe
    assert endings.total() == 6 * (safe + unsafe)


@pytest.mark.parametrize("phase", PHASES)
def test_of_ten_parties_any_three_may_be_lost(phase: str) -> None:
    endings = lose(10, [*sets_of(10, 3), *list(combinations(names(10), 4))[::10]], (phase,))
    assert endings.total() == 1 + 10 + 45 + 120 + 21
    assert endings["named"] == (0 if phase == "result" else 21)


@pytest.mark.parametrize("n", [4, 5])
def test_so_it_is_where_totals_are_checked_by_samples(n: int) -> None:
    endings = lose(n, sets_of(n, 2), check=Check.SAMPLE, ring="z2^64")
    assert endings["survivors"] > 10
    assert endings["everybody"] > 10
    assert endings["named"] > 10


@pytest.mark.parametrize("n", [4, 5])
def test_parties_may_be_lost_before_different_steps(n: int) -> None:
    endings: Counter[str] = Counter()
    for gone in combinations(names(n), 2):
        for first in PHASES:
            for second in PHASES:
                cohort, lost = Cohort(n, 2), {gone[0]: first, gone[1]: second}
                cohort.run(vectors_of(n), lost)
                endings[judge(cohort, lost)] += 1
    assert endings.total() == 36 * n * (n - 1) // 2
    assert all(endings[ending] >= 20 for ending in ("everybody", "survivors", "named")), endings


def test_the_planted_fault_of_a_lost_party_s_masks_that_stay_on_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = masks.streams_off
    monkeypatch.setattr(masks, "streams_off", lambda seeds, _keys, *rest: whole(seeds, {}, *rest))
    with pytest.raises(AssertionError):
        lose(4, sets_of(4, 1), ("head",))


def test_the_planted_fault_of_members_that_go_on_with_too_few_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Serving, "wanted", property(lambda self: self.setup.threshold))
    strict = bundles.one_each
    monkeypatch.setattr(
        bundles, "one_each", lambda setup, parcels, relay, phase, _: strict(setup, parcels, relay, phase, 4)
    )
    with pytest.raises(AssertionError):
        lose(5, sets_of(5, 1), ("head",), least=5)


# --- where nobody may be lost ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("away", names(3))
@pytest.mark.parametrize("phase", PHASES)
def test_a_sum_of_three_waits_for_the_third_and_is_finished_when_it_comes_back(phase: str, away: str) -> None:
    vectors = vectors_of(3)
    cohort = prefixes(3)[phase]
    at_home = [party for party in names(3) if party != away]
    for later in PHASES[PHASES.index(phase) :]:
        cohort.take(later, at_home, vectors, wait=True)
    if phase != "result":
        assert not any(machine.released for machine in (*cohort.parties.values(), cohort.aggregator))
        assert cohort.aggregator.state.awaits == Awaits(what=phase, of=(away,)), "it waits, and may not go on"
    cohort.settle(vectors)
    assert judge(cohort, {}) == "everybody"


@pytest.mark.parametrize("phase", PHASES[:-1])
def test_a_sum_of_three_ends_without_a_total_if_the_third_never_comes(phase: str) -> None:
    for away in names(3):
        cohort = prefixes(3)[phase]
        cohort.run(vectors_of(3), {away: phase}, start=phase)
        assert judge(cohort, {away: phase}) == "named"


def test_whoever_wants_all_of_four_waits_for_the_fourth_as_well() -> None:
    cohort = Cohort(4, 2, least=4)
    cohort.run(vectors_of(4), {"p3": "head"})
    assert [blame.party for blame in cohort.aggregator.blames] == ["p3"]
    assert not cohort.parties["p0"].released


def test_survivors_who_are_told_of_an_end_forget_everything() -> None:
    cohort = Cohort(4, 2)
    cohort.run(vectors_of(4), {"p2": "head", "p3": "head"})
    blames = (Blame(party="p2", code="unavailable", message="p2 is gone"),)
    for party in ("p0", "p1"):
        (abort,) = cohort.parties[party].give(Stopped(blames=blames))
        assert cohort.parties[party].state.ended
        assert abort.blames == blames  # type: ignore[union-attr]


# --- who comes late --------------------------------------------------------------------------------------------------


def late(phase: str) -> Cohort:
    """Four parties, of whom p3 did not answer before the others went on; its answer is about to arrive."""
    cohort = prefixes(4)[phase]
    cohort.take(phase, names(4)[:3], vectors_of(4))
    return cohort


def test_a_late_advert_is_ignored_and_its_party_stands_aside() -> None:
    cohort = late("advert")
    state = cohort.aggregator.state
    assert cohort.receive(Received(parcel=cohort.begin("p3"))) == ()
    assert cohort.aggregator.state == state
    cohort.run(vectors_of(4), {"p3": "advert"}, start="shares")
    cohort.exchange("p3")
    assert type(cohort.parties["p3"].state).__name__ == "Aside"
    judge(cohort, {"p3": "advert"})


def test_late_shares_are_ignored_and_their_party_stands_aside() -> None:
    cohort = late("shares")
    state = cohort.aggregator.state
    cohort.exchange("p3")
    assert cohort.aggregator.state == state
    cohort.run(vectors_of(4), {"p3": "shares"}, start="head")
    cohort.exchange("p3")
    assert type(cohort.parties["p3"].state).__name__ == "Aside"
    judge(cohort, {"p3": "shares"})


def test_a_party_aside_waits_for_nothing_says_nothing_and_is_not_counted() -> None:
    cohort = late("shares")
    cohort.exchange("p3")
    cohort.run(vectors_of(4), {"p3": "shares"}, start="head")
    machine = cohort.parties["p3"]
    before = list(machine.effects)
    cohort.exchange("p3")
    for bundle in [event.parcels for event in cohort.parties["p0"].events if isinstance(event, Delivered)]:
        assert machine.give(Delivered(parcels=bundle)) == ()
    assert machine.give(Contribute.of(cohort.spec, [1, 2])) == ()
    assert machine.effects == before
    assert machine.state.awaits == Awaits()
    assert not machine.state.ended, "it is told when the sum has ended"
    machine.give(Stopped(blames=()))
    assert machine.state.ended


def test_a_late_head_is_ignored_and_its_party_still_helps_and_learns_the_total() -> None:
    """p3 is alive, its vector came too late: it is not counted, gives its shares and checks the total of the others."""
    cohort = late("head")
    cohort.deliver("p3", 1)
    head = cohort.contribute("p3", vectors_of(4)["p3"])
    state = cohort.aggregator.state
    assert cohort.receive(Received(parcel=head)) == ()
    assert cohort.aggregator.state == state
    cohort.opened()
    counted = names(4)[:3]
    for machine in (*cohort.parties.values(), cohort.aggregator):
        (release,) = machine.released
        assert (release.total, release.parties) == (plain_sum(cohort, vectors_of(4), counted), counted)


@pytest.mark.parametrize("phase", ["consent", "unmask"])
def test_a_late_answer_is_ignored_and_its_party_learns_the_total(phase: str) -> None:
    cohort = late(phase)
    assert cohort.aggregator.state.awaits.what != phase
    cohort.opened()
    judge(cohort, {})


def test_a_party_that_missed_everything_since_its_head_catches_up_in_one_go() -> None:
    cohort = late("consent")
    for phase in ("unmask", "result"):
        cohort.take(phase, names(4)[:3], vectors_of(4))
    assert len(cohort.inbox["p3"]) == 3
    cohort.exchange("p3")
    judge(cohort, {})


def test_shares_of_a_party_whose_advert_came_too_late_are_the_relay_s_doing() -> None:
    """P3 was shown the adverts of all in its own view, and deals; the others never saw its keys."""
    cohort = late("advert")
    view = [*cohort.inbox["p3"].pop(), cohort.begin("p3")]
    (send,) = cohort.parties["p3"].give(Delivered(parcels=tuple(view)))
    dealt = Parcel(message=attested(replace(send.message, adverts_hash=hash_seen(cohort))), chunks=(b"box",))  # type: ignore[union-attr,type-var]
    cohort.take("shares", names(4)[:3], vectors_of(4))
    bundle = cohort.inbox["p0"].pop()
    with pytest.raises(ProtocolViolation, match="shares of those who advertised, got also of p3") as caught:
        cohort.parties["p0"].give(Delivered(parcels=(*bundle, dealt)))
    assert caught.value.party == COORDINATOR


def hash_seen(cohort: Cohort) -> bytes:
    """The adverts as the aggregator has them."""
    return bytes(cohort.aggregator.state.adverts_hash)  # type: ignore[attr-defined]


def test_a_consent_of_a_party_that_never_shared_does_not_count() -> None:
    cohort = late("shares")
    for phase in ("head", "consent"):
        cohort.take(phase, names(4)[:3], vectors_of(4))
    bundle = cohort.inbox["p0"].pop()
    value = bundle[0].message.value
    false = Parcel(message=attested(replace(value, party="p3")))  # type: ignore[type-var]
    with pytest.raises(ProtocolViolation, match="consents of those who shared, got also of p3") as caught:
        cohort.parties["p0"].give(Delivered(parcels=(*bundle[:2], false)))
    assert caught.value.party == COORDINATOR


def test_a_stranger_is_named_even_when_its_step_is_closed() -> None:
    cohort = late("advert")
    stranger = Cohort(5)
    with pytest.raises(ProtocolViolation, match="a stranger") as caught:
        cohort.receive(Received(parcel=stranger.begin("p4")))
    assert caught.value.party == "p4"


def test_a_deadline_in_the_middle_of_shares_that_are_too_few_names_who_owes_them() -> None:
    cohort = prefixes(5)["unmask"]
    cohort.take("unmask", names(5)[:3], vectors_of(5), wait=True)
    cohort.aggregator.give(DeadlinePassed())
    assert [blame.party for blame in cohort.aggregator.blames] == ["p3", "p4"]


def test_who_hears_of_a_loss_from_the_coordinator_says_so() -> None:
    cohort = prefixes(3)["head"]
    (abort,) = cohort.parties["p0"].give(DeadlinePassed(missing=("p1",)))
    (blame,) = abort.blames  # type: ignore[union-attr]
    assert blame.party == "p1"
    assert COORDINATOR in blame.message

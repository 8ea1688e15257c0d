"""A coordinator that shows every honest party whichever list it likes never gets both shares of a peer t times.

The argument, with c colluders: each honest party agrees to one list, so two lists that both have t agreements need
2t <= n + c. With c = 2t - n - 1 they cannot both; with one colluder more they can, and then a victim's vector opens:
the bound is tight, and these tests can fail. The machines are the real ones; colluders sign and give what they like.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from random import Random

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from federation.errors import ProtocolViolation
from federation.protocols import bundles
from federation.protocols.events import Delivered, Parcel
from federation.protocols.masked_sum import party
from federation.protocols.masked_sum.messages import Head
from tests.attacks.masked_sum.malice import asked, bare, combined, given, masked, shares_in, signed_too
from tests.protocols.cohort import Cohort, Machine, attested, names, plain_sum

SECRET = {n: {name: [1_000_003 * (i + 1), -7 * i] for i, name in enumerate(names(n))} for n in range(3, 13)}


@cache
def cohort_of(n: int) -> tuple[Cohort, dict[str, Parcel]]:
    """n parties whose masked vectors are out; the coordinator has them all and now shows lists."""
    cohort = Cohort(n, 2)
    return cohort, masked(cohort, SECRET[n])


def state_of(machine: Machine) -> party.Masked:
    assert isinstance(machine.state, party.Masked)
    return machine.state


class Coordinator:
    """It has everything that its colluders hold, and plays every honest party against the others."""

    def __init__(self, n: int, colluders: Sequence[str]) -> None:
        whole, self.heads = cohort_of(n)
        self.cohort, self.colluders = whole.branch(), colluders
        self.setup = whole.setup
        self.honest = [name for name in names(n) if name not in colluders]
        self.shares: dict[tuple[str, str], dict[str, bytes]] = defaultdict(dict)  # (kind, whose) -> holder -> share
        for name in colluders:
            held = dict(zip(names(n), state_of(self.cohort.parties[name]).held, strict=True))
            for owner, (seed, key) in held.items():
                self.shares["seed", owner][name] = seed
                self.shares["key", owner][name] = key
        self.agreed: dict[tuple[str, ...], dict[str, Parcel]] = defaultdict(dict)  # honest consents to each list
        self.opened: set[tuple[str, ...]] = set()

    def show(self, views: Mapping[str, tuple[str, ...]]) -> None:
        """Show each honest party its list, then all consents to it that there are, its colluders' among them."""
        for name, view in views.items():
            self.agreed[view][name] = asked(self.cohort.parties[name], self.heads, view)
        for name, view in views.items():
            found = list(self.agreed[view].values())
            try:
                unmask = given(self.cohort.parties[name], [*found, *(signed_too(found[0], c) for c in self.colluders)])
            except ProtocolViolation:
                continue
            masked_against = self.cohort.parties[name].state.known.masked.names  # type: ignore[attr-defined]
            for what, share in shares_in(unmask, masked_against, view).items():
                self.shares[what][unmask.party] = share
            self.opened.add(view)

    def secret(self, kind: str, owner: str) -> bytes | None:
        """What the shares at hand open."""
        return combined(self.setup, self.shares[kind, owner])

    @property
    def both(self) -> list[str]:
        """Honest parties of whom it has seed and key."""
        return [name for name in self.honest if self.secret("seed", name) and self.secret("key", name)]


def colluders_of(n: int, more: int = 0) -> tuple[str, ...]:
    """The last c parties, or one more."""
    setup = cohort_of(n)[0].setup
    return names(n)[n - setup.colluders - more :]


@pytest.mark.parametrize("n", range(3, 13))
def test_no_coordinator_gets_both_shares_of_a_peer_nor_two_openings(n: int) -> None:
    endings: Counter[int] = Counter()
    colluders = colluders_of(n)
    honest = [name for name in names(n) if name not in colluders]
    least = cohort_of(n)[0].setup.least

    @settings(max_examples=100)
    @drawn(seed=st.integers(0, 2**32))
    def each(seed: int) -> None:
        draw = Random(seed)
        lists = [tuple(sorted(draw.sample(names(n), draw.randint(least, n)))) for _ in range(draw.randint(2, 6))]
        coordinator = Coordinator(n, colluders)
        coordinator.show({name: draw.choice(lists) for name in honest})
        assert coordinator.both == []
        assert len(coordinator.opened) <= 1, "one list is opened, or none"
        endings[len(coordinator.opened)] += 1

    each()
    assert endings[1] >= 10, endings
    assert n == 3 or endings[0] >= 3, endings  # of three parties there is one honest one, and one list


def split(n: int, more: int) -> tuple[Coordinator, str]:
    """The best attack: two lists, one with and one without a victim, shown to as many honest parties as each needs."""
    colluders = colluders_of(n, more)
    coordinator = Coordinator(n, colluders)
    victim, everybody = coordinator.honest[0], names(n)
    without = tuple(name for name in everybody if name != victim)
    need = coordinator.setup.threshold - len(colluders)
    coordinator.show({name: everybody if place < need else without for place, name in enumerate(coordinator.honest)})
    return coordinator, victim


@pytest.mark.parametrize("n", range(4, 13))
def test_the_best_split_fails_by_one_and_with_one_colluder_more_opens_the_victim(n: int) -> None:
    coordinator, victim = split(n, more=0)
    assert coordinator.both == []
    assert len(coordinator.opened) == 1
    coordinator, victim = split(n, more=1)
    assert len(coordinator.opened) == 2
    assert victim in coordinator.both
    whole, heads = cohort_of(n)
    seed, key = coordinator.secret("seed", victim), coordinator.secret("key", victim)
    opened = bare(state_of(whole.parties[victim]), heads[victim].chunks, seed, key)
    assert opened == plain_sum(whole, SECRET[n], [victim]), "the victim's own numbers"


@pytest.mark.parametrize("n", range(4, 13))
def test_one_kind_of_share_opens_nothing_of_the_victim(n: int) -> None:
    """What the coordinator rightly has - the seed of a counted party or the key of a lost one - leaves noise."""
    whole, heads = cohort_of(n)
    coordinator, victim = split(n, more=0)
    seed, key = coordinator.secret("seed", victim), coordinator.secret("key", victim)
    assert (seed is None) != (key is None) or (seed is None and key is None)
    opened = bare(state_of(whole.parties[victim]), heads[victim].chunks, seed, key)
    assert opened != plain_sum(whole, SECRET[n], [victim])


@cache
def before_shares(n: int) -> Cohort:
    """n parties who have dealt their shares; the coordinator has all boxes and now forwards whose it likes."""
    cohort = Cohort(n, 2)
    for phase in ("advert", "shares"):
        cohort.take(phase, names(n), {})
    return cohort


def split_shares(n: int, views: Mapping[str, tuple[str, ...]], colluders: Sequence[str]) -> Coordinator:
    """Show honest parties different sets of shares, so that they mask against different peers; then all that it can.

    Colluders say heads for every view; each cluster of honest parties is asked for a list of itself and all of them.
    """
    coordinator = Coordinator(n, colluders)
    cohort = coordinator.cohort = before_shares(n).branch()
    lists = {}
    for view in set(views.values()):
        cluster = [name for name in views if views[name] == view]
        heads = {}
        for name in cluster:
            bundle = tuple(item for item in cohort.inbox[name][-1] if item.message.sender in view)
            cohort.parties[name].give(Delivered(parcels=bundle))
            heads[name] = cohort.contribute(name, SECRET[n][name])
        said = heads[cluster[0]].message.value
        assert isinstance(said, Head)
        heads |= {c: Parcel(message=attested(replace(said, party=c))) for c in colluders if c in view}
        lists[view] = tuple(sorted(heads))
        coordinator.heads = heads
        if len(heads) >= coordinator.setup.least:
            coordinator.show(dict.fromkeys(cluster, lists[view]))
    return coordinator


@pytest.mark.parametrize("n", range(4, 10))
def test_different_shares_for_different_parties_do_not_help(n: int) -> None:
    colluders = colluders_of(n)
    honest = [name for name in names(n) if name not in colluders]
    opened = 0
    for victim in honest:
        without = tuple(name for name in names(n) if name != victim)
        for place in range(1, len(honest)):
            others = [name for name in honest if name != victim]
            views = {name: names(n) if name in [victim, *others[: place - 1]] else without for name in honest}
            coordinator = split_shares(n, views, colluders)
            assert coordinator.both == []
            assert len(coordinator.opened) <= 1
            opened += len(coordinator.opened)
    assert opened >= 1


def test_the_planted_fault_of_a_party_that_does_not_count_consents_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = bundles.one_each
    monkeypatch.setattr(
        bundles,
        "one_each",
        lambda setup, parcels, relay, phase, least: strict(
            setup, parcels, relay, phase, 0 if phase == "consents" else least
        ),
    )
    coordinator, _ = split(6, more=0)
    assert len(coordinator.opened) == 2, "shares for two lists are out"


def test_the_planted_fault_of_a_party_that_agrees_twice_gives_both_shares_away() -> None:
    """A machine that was put back to before it agreed: a snapshot of its memory, not its newest one."""
    n = 5
    coordinator, victim = split(n, more=0)
    assert coordinator.both == []
    without = tuple(name for name in names(n) if name != victim)
    again = [name for name in coordinator.honest if name != victim]
    for name in again:
        coordinator.cohort.parties[name] = cohort_of(n)[0].parties[name].branch()
    coordinator.show(dict.fromkeys(again, without))
    assert victim in coordinator.both


def test_a_party_that_has_agreed_agrees_to_no_other_list() -> None:
    coordinator = Coordinator(5, ())
    machine = coordinator.cohort.parties["p0"]
    asked(machine, coordinator.heads, names(5))
    for view in (names(5)[:4], names(5)[1:]):
        with pytest.raises(ProtocolViolation) as caught:
            machine.give(Delivered(parcels=tuple(Parcel(message=coordinator.heads[name].message) for name in view)))
        assert caught.value.party == "relay"

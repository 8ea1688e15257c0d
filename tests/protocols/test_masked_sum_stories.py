"""Whole stories of a masked sum, drawn, run and judged: weather over honest members, and one member who alters things.

Weather: messages come in any order of lines, twice, again from the start; parties are lost, restart, come late; the
aggregator waits or does not. Every story ends in the exact total of those who are counted, the same for all, or with
the names of who was missing. Alterations: the first honest member who sees one names who made it, or it does no harm.
Every ending is reached often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from federation.crypto.chunk_hash import chunk_hash
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols.events import Delivered, Parcel, Received
from federation.protocols.machine import fold
from federation.protocols.masked_sum import checks, masks, opening
from federation.protocols.masked_sum import party as party_machine
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Shares, Unmask
from federation.protocols.setup import Check
from tests.protocols.cohort import (
    COORDINATOR,
    PHASES,
    Cohort,
    Machine,
    attested,
    names,
    plain_sum,
    remember_exchanges,
)

STORIES = 400


@pytest.fixture(autouse=True)
def one_exchange_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    remember_exchanges(monkeypatch)


def vectors_of(n: int) -> dict[str, list[int]]:
    return {party: [16**i, -(2**70) * i] for i, party in enumerate(names(n))}


# --- weather ---------------------------------------------------------------------------------------------------------


@dataclass
class Weather:
    """One sum, and lines on which everything is said in order, but nothing when one expects it."""

    cohort: Cohort
    draw: Random
    said: dict[str, list[Parcel]] = field(default_factory=dict)  # by each party, in order
    heard: Counter[str] = field(default_factory=Counter)  # how many of these the aggregator has
    had: Counter[str] = field(default_factory=Counter)  # how many bundles each party has
    bundles: dict[str, list[tuple[Parcel, ...]]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)  # what happened

    def go(self) -> None:
        """Begin, let it rain for a while, then let everything that is left arrive."""
        n = len(self.cohort.parties)
        for party in names(n):
            self.said[party] = [self.cohort.begin(party)] if self.draw.random() < 0.9 else []
            self.lost |= set() if self.said[party] else {party}
        acts: list[Callable[[str], None]] = [self.up, self.down, self.up, self.down, self.again, self.restart]
        for _ in range(self.draw.randrange(20, 30 * n)):
            if self.draw.random() < 0.02:
                self.patience_ends()
            elif self.draw.random() < 0.015:
                self.lose(self.draw.choice(names(n)))
            else:
                self.draw.choice(acts)(self.draw.choice(names(n)))
        self.calm()

    def up(self, party: str) -> None:
        """The aggregator hears the next thing that a party said."""
        if self.heard[party] < len(self.said[party]):
            self.heard[party] += 1
            self._receive(self.said[party][self.heard[party] - 1])

    def down(self, party: str) -> None:
        """A party hears the next bundle."""
        self._collect()
        bundles = self.bundles.get(party, [])
        if party not in self.lost and self.had[party] < len(bundles):
            self.had[party] += 1
            self._deliver(party, bundles[self.had[party] - 1])

    def again(self, party: str) -> None:
        """A line broke: both sides say everything again that they said before."""
        self.seen["said again"] += 1
        for parcel in self.said[party][: self.heard[party]]:
            self._receive(parcel)
        for bundle in self.bundles.get(party, [])[: self.had[party]]:
            if party not in self.lost:
                self._deliver(party, bundle)

    def restart(self, party: str) -> None:
        """A machine is folded from its events: the same state, the same bytes."""
        self.seen["restarted"] += 1
        for machine in (self.cohort.parties[party], self.cohort.aggregator):
            folded = fold(machine.step, machine.start, machine.events)
            assert (folded.state, list(folded.effects)) == (machine.state, machine.effects)
            machine.state = folded.state

    def lose(self, party: str) -> None:
        """A party is gone for good; what it said last may be gone with it."""
        if len(self.lost) < 2:
            self.lost.add(party)
            self.said[party] = self.said[party][: max(self.heard[party], len(self.said[party]) - 1)]

    def patience_ends(self) -> None:
        """The aggregator goes on if it can."""
        awaits = self.cohort.aggregator.state.awaits
        if awaits.enough and awaits.of:
            self.seen["went on"] += 1
            self.cohort.late()

    def calm(self) -> None:
        """Everything arrives; where somebody is missing, the aggregator waits no longer."""
        for _ in range(4 * len(PHASES)):
            for party in self.cohort.parties:
                for _ in range(9):
                    self.up(party)
                    self.down(party)
            awaits = self.cohort.aggregator.state.awaits
            if awaits.what and not self._moving():
                self.cohort.late()

    def _moving(self) -> bool:
        self._collect()
        return any(
            self.heard[p] < len(self.said[p]) or (p not in self.lost and self.had[p] < len(self.bundles.get(p, [])))
            for p in self.cohort.parties
        )

    def _collect(self) -> None:
        for party, bundles in self.cohort.inbox.items():
            self.bundles.setdefault(party, []).extend(bundles)
            bundles.clear()

    def _receive(self, parcel: Parcel) -> None:
        before = self.cohort.aggregator.state
        self.cohort.receive(Received(parcel=parcel))
        late = isinstance(parcel.message.value, Head) and self.cohort.aggregator.state is before
        self.seen["late head"] += late and parcel.message.sender not in getattr(before, "heads", {})

    def _deliver(self, party: str, bundle: tuple[Parcel, ...]) -> None:
        machine = self.cohort.parties[party]
        for effect in machine.give(Delivered(parcels=bundle)):
            if hasattr(effect, "message"):
                self.said[party].append(Parcel(message=attested(effect.message), chunks=effect.chunks))  # type: ignore[union-attr]
        if machine.state.awaits.what == "contribution":
            numbers = vectors_of(len(self.cohort.parties))[party]
            self.said[party].append(self.cohort.contribute(party, numbers))


def judge(weather: Weather) -> str:
    """What must hold after every story; returns how it ended."""
    cohort = weather.cohort
    parties = cohort.parties
    everybody = (*parties.values(), cohort.aggregator)
    releases = [release for machine in everybody for release in machine.released]
    assert all(len(machine.released) <= 1 for machine in everybody)
    assert cohort.aggregator.state.ended
    for machine in everybody:
        weather.seen[type(machine.state).__name__] += 1
    if not releases:
        named = {blame.party for blame in cohort.aggregator.blames}
        assert named
        assert named & weather.lost, "somebody is missing because somebody is lost"
        return "named"
    (counted,) = {release.parties for release in releases}
    assert {release.total for release in releases} == {plain_sum(cohort, vectors_of(len(parties)), counted)}
    assert len(counted) >= cohort.setup.least
    for party, machine in parties.items():
        if party not in weather.lost:
            assert type(machine.state).__name__ in ("Done", "Aside"), party
            assert bool(machine.released) == (type(machine.state).__name__ == "Done")
    return "everybody" if len(counted) == len(parties) else "survivors"


def rain() -> tuple[Counter[str], Counter[str]]:
    """Draw and judge STORIES sums in all weathers: how often each ending, and each event, was reached."""
    endings: Counter[str] = Counter()
    seen: Counter[str] = Counter()

    @seed(7)
    @settings(max_examples=STORIES, database=None, phases=(Phase.generate, Phase.shrink))
    @given(n=st.integers(3, 6), check=st.sampled_from(Check), draw=st.integers(0, 2**32))
    def each(n: int, check: Check, draw: int) -> None:
        weather = Weather(Cohort(n, 2, check=check), Random(draw))
        weather.go()
        endings[judge(weather)] += 1
        seen.update(weather.seen)

    each()
    return endings, seen


def test_in_any_weather_survivors_agree_on_their_exact_sum_or_the_missing_are_named() -> None:
    endings, seen = rain()
    print(endings, seen)
    assert all(endings[ending] >= STORIES // 10 for ending in ("everybody", "survivors", "named")), endings
    for event in ("said again", "restarted", "went on", "late head", "Aside", "Done", "Aborted"):
        assert seen[event] >= 10, (event, seen)


def test_the_planted_fault_of_masks_that_stay_on_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(masks, "streams_off", lambda *_: masks.Streams())
    with pytest.raises((AssertionError, ProtocolViolation)):
        rain()


def test_the_planted_fault_of_a_bundle_that_is_not_known_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(party_machine, "identity", lambda _: b"")
    with pytest.raises((AssertionError, ProtocolViolation)):
        rain()


# --- alterations -----------------------------------------------------------------------------------------------------

FLIPPED = b"\x80" + bytes(31)
LOW_ORDER = bytes(32)


def rooted(parcel: Parcel) -> Parcel:
    """The parcel with a root over the chunks that it has, signed so."""
    root = merkle.root([chunk_hash(chunk) for chunk in parcel.chunks])
    name = "boxes_root" if isinstance(parcel.message.value, Shares) else "chunk_root"
    return signed(parcel, **{name: root})


def signed(parcel: Parcel, **changes: Any) -> Parcel:
    """The parcel as its sender would sign it with other fields."""
    return replace(parcel, message=attested(replace(parcel.message.value, **changes)))  # type: ignore[type-var]


def flipped(parcel: Parcel, place: int = 0) -> Parcel:
    """The parcel with one bit of one chunk flipped."""
    chunks = list(parcel.chunks)
    chunks[place] = bytes([chunks[place][0] ^ 1]) + chunks[place][1:]
    return replace(parcel, chunks=tuple(chunks))


LIES: dict[type, dict[str, Callable[[Parcel], Parcel]]] = {
    Advert: {
        "another setup": lambda p: signed(p, setup_hash=FLIPPED),
        "a mask key of low order": lambda p: signed(p, mask_pk=LOW_ORDER),
        "a box key of low order": lambda p: signed(p, enc_pk=LOW_ORDER),
        "one key twice": lambda p: signed(p, enc_pk=p.message.value.mask_pk),  # type: ignore[attr-defined]
        "chunks": lambda p: replace(p, chunks=(b"x",)),
    },
    Shares: {
        "another setup": lambda p: signed(p, setup_hash=FLIPPED),
        "other adverts": lambda p: signed(p, adverts_hash=FLIPPED),
        "a box less": lambda p: rooted(replace(p, chunks=p.chunks[1:])),
        "a short box": lambda p: rooted(replace(p, chunks=(p.chunks[0][1:], *p.chunks[1:]))),
        "another root": flipped,
        "a box that does not open": lambda p: rooted(flipped(p)),
        "boxes swapped": lambda p: rooted(replace(p, chunks=tuple(reversed(p.chunks)))),
        "another commitment": lambda p: signed(p, commitment=FLIPPED),
    },
    Head: {
        "another spec": lambda p: signed(p, spec_hash=FLIPPED),
        "other parties": lambda p: signed(p, u2_hash=FLIPPED),
        "another length": lambda p: signed(p, length=9),
        "another root": flipped,
        "a chunk less": lambda p: rooted(replace(p, chunks=p.chunks[1:])),
    },
    Consent: {
        "another spec": lambda p: signed(p, spec_hash=FLIPPED),
        "another list": lambda p: signed(p, u3_hash=FLIPPED),
    },
    Unmask: {
        "another list": lambda p: signed(p, u3_hash=FLIPPED),
        "a share less": lambda p: signed(p, self_shares=p.message.value.self_shares[1:]),  # type: ignore[attr-defined]
        "both of one peer": lambda p: signed(p, key_shares=(*p.message.value.key_shares, bytes(33))),  # type: ignore[attr-defined]
        "no share": lambda p: signed(p, self_shares=(b"\xff" * 33, *p.message.value.self_shares[1:])),  # type: ignore[attr-defined]
        "a false share": lambda p: signed(p, self_shares=(*p.message.value.self_shares[:-1], bytes(33))),  # type: ignore[attr-defined]
    },
}


def without(bundle: tuple[Parcel, ...], who: str) -> tuple[Parcel, ...]:
    return tuple(parcel for parcel in bundle if parcel.message.sender != who)


def of(bundle: tuple[Parcel, ...], who: str) -> Parcel:
    return next(parcel for parcel in bundle if parcel.message.sender == who)


# The relay can sign nothing of theirs: it drops, doubles, lets a stranger sign, touches chunks. `who` is whose it is.
TAMPERINGS: dict[str, Callable[[tuple[Parcel, ...], str], tuple[Parcel, ...]]] = {
    "doubled": lambda bundle, who: (*bundle, of(bundle, who)),
    "a stranger's": lambda bundle, who: (
        *without(bundle, who),
        replace(of(bundle, who), message=replace(of(bundle, who).message, sender="p9")),
    ),
    "nobody": lambda _bundle, _who: (),
    "chunks touched": lambda bundle, who: (
        *without(bundle, who),
        replace(of(bundle, who), chunks=(bytes(3), *of(bundle, who).chunks[1:])),
    ),
}
STEPS = {"adverts": 0, "shares": 1, "heads": 2, "consents": 3, "opening": 4}


def run_lying(n: int, liar: str, kind: type, lie: Callable[[Parcel], Parcel]) -> Cohort:
    """Run a sum in which one party says one thing that is not true; nobody waits for it afterwards."""
    cohort = Cohort(n, 2)
    vectors = vectors_of(n)
    for phase in PHASES:
        for party in (liar, *(other for other in names(n) if other != liar)):
            answers = [cohort.begin(party)] if phase == "advert" else cohort.deliver(party)
            if cohort.parties[party].state.awaits.what == "contribution":
                answers.append(cohort.contribute(party, vectors[party]))
            for answer in answers:
                false = party == liar and isinstance(answer.message.value, kind)
                cohort.receive(Received(parcel=lie(answer) if false else answer))
                if false and kind is Shares:  # a box or a commitment is judged later, by others
                    cohort.parties[liar].state = told_of(cohort, liar, lie(answer))
        if cohort.aggregator.state.awaits.what == phase:
            cohort.late()
    return cohort


def told_of(cohort: Cohort, liar: str, false: Parcel) -> Any:
    """The liar's own machine takes what it said falsely for its own word."""
    return replace(cohort.parties[liar].state, shares=false.message.value)  # type: ignore[type-var]


def one_alteration(draw: Random) -> tuple[str, str]:
    """Draw one: (who alters, how it ended)."""
    n = draw.choice((3, 4, 5))
    if draw.random() < 0.5:
        liar, kind = draw.choice(names(n)), draw.choice(list(LIES))
        return "a party", lied(n, liar, kind, draw.choice(list(LIES[kind].values())))
    return "the relay", tampered(n, draw)


def lied(n: int, liar: str, kind: type, lie: Callable[[Parcel], Parcel]) -> str:
    try:
        cohort = run_lying(n, liar, kind, lie)
    except ProtocolViolation as violation:
        assert violation.party == liar, f"{violation.party} is named: {violation.message}"
        return "named"
    releases = [release for machine in (*cohort.parties.values(), cohort.aggregator) for release in machine.released]
    assert releases
    (counted,) = {release.parties for release in releases}
    assert {release.total for release in releases} == {plain_sum(cohort, vectors_of(n), counted)}
    return "did no harm"


def tampered(n: int, draw: Random) -> str:
    """The relay forwards one bundle to one party otherwise than it had it: that one refuses it in the relay's name."""
    cohort, step = Cohort(n, 2), draw.choice(list(STEPS))
    for phase in PHASES[: STEPS[step] + 1]:
        cohort.take(phase, names(n), vectors_of(n))
    victim, how = draw.choice(names(n)), draw.choice(list(TAMPERINGS))
    if step == "shares":  # everybody has been given its boxes before it contributed
        cohort = Cohort(n, 2)
        cohort.take("advert", names(n), {})
        cohort.take("shares", names(n), {})
    bundle = cohort.inbox[victim][-1]
    who = draw.choice([parcel.message.sender for parcel in bundle if parcel.message.sender != victim])
    machine: Machine = cohort.parties[victim]
    before = machine.state
    touchable = step != "consents" and who != COORDINATOR
    false = TAMPERINGS[how if touchable or how != "chunks touched" else "doubled"](bundle, who)
    try:
        machine.give(Delivered(parcels=false))
    except ProtocolViolation as violation:
        assert violation.party == COORDINATOR, (step, how)
        assert machine.state == before
        assert not machine.released
        machine.give(Delivered(parcels=bundle))
        return "named"
    assert not machine.released
    return "did no harm"


def tell_all(count: int = STORIES) -> Counter[tuple[str, str]]:
    draw = Random(3)
    return Counter(one_alteration(draw) for _ in range(count))


def test_whoever_alters_anything_is_named_or_does_no_harm() -> None:
    endings = tell_all()
    print(endings)
    assert endings["a party", "named"] >= STORIES // 4
    assert endings["the relay", "named"] >= STORIES // 4
    assert endings["a party", "did no harm"] >= 3


@pytest.mark.parametrize("n", [3, 4])
@pytest.mark.parametrize(("kind", "lie"), [(kind, lie) for kind, lies in LIES.items() for lie in lies])
def test_each_lie_of_each_party_is_named_or_does_no_harm(n: int, kind: type, lie: str) -> None:
    harmless = (kind, lie) == (Unmask, "a false share") and n == 4
    for liar in names(n):
        ending = lied(n, liar, kind, LIES[kind][lie])
        assert ending == "named" or harmless, (liar, ending)


@pytest.mark.parametrize("check", ["head", "advert", "one_each", "boxes", "consent", "fits_seed"])
def test_the_planted_fault_of_a_check_that_passes_everything_is_caught(
    check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless: dict[str, Any] = {
        "head": lambda _spec, _binding, parcel, _relay: parcel.message.value,
        "advert": lambda _setup, _hash, parcel, _relay: checks.Keys(
            parcel.message.value, (parcel.message.value.enc_pk, parcel.message.value.mask_pk), parcel.message
        ),
        "one_each": lambda _setup, parcels, _relay, _phase, _least: {p.message.sender: p for p in parcels},
        "boxes": lambda _value, chunks, _peers, _relay: tuple(map(merkle.leaf_hash, chunks)),
        "consent": lambda _setup, _spec, _list, parcel, _relay: parcel.message.value,
    }
    if check == "fits_seed":
        monkeypatch.setattr(opening.Masked, "fits_seed", lambda *_: True)
        monkeypatch.setattr(masks, "share_digest", lambda *_: bytes(32))
    else:
        where = "bundles" if check == "one_each" else "masked_sum.checks"
        monkeypatch.setattr(f"federation.protocols.{where}.{check}", careless[check])
    with pytest.raises((AssertionError, LookupError, ValueError, AttributeError)):
        tell_everything()


def tell_everything() -> None:
    tell_all()
    for kind, lies in LIES.items():
        for lie in lies:
            test_each_lie_of_each_party_is_named_or_does_no_harm(3, kind, lie)

"""Above 64 parties a sum is masked between neighbours on a circle: its order, its bounds, and what it must not allow.

Small circles stand for large ones: 14 parties of whom each has two neighbours on either side play lies in no time.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import pytest

from federation.crypto import shamir
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols.events import Delivered, Intend, Parcel, Received, Send
from federation.protocols.masked_sum import auditing, graph, masks
from federation.protocols.masked_sum.graph import MOST_COMPLETE, Graph, Terms, terms
from federation.protocols.masked_sum.messages import Shares, Unmask
from federation.protocols.setup import Setup
from tests.protocols.cohort import COORDINATOR, Cohort, attested, entropy, names, plain_sum, setup_of

FEW = Terms(reach=2, counted=1, threshold=3)
N = 14  # of the small circle; ten of them open it
NUMBERS = {name: [1_000_003 * (place + 1), place] for place, name in enumerate(names(N))}
DIGEST = hashlib.sha256(b"adverts").digest()


def many(n: int, colluders: int, lost: int) -> Setup:
    """A setup that promises this much and no more."""
    return replace(setup_of(n), colluders=colluders, least=n - lost)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Circles of a few parties, at once."""
    graph._made.cache_clear()
    monkeypatch.setattr(graph, "terms", lambda *_: FEW)
    monkeypatch.setattr(graph, "TURNS", 1)
    yield
    graph._made.cache_clear()


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_up_to_64_parties_everybody_meets_everybody() -> None:
    assert terms(MOST_COMPLETE, 6, 6) is None
    found = Graph.of(setup_of(5), DIGEST, names(5)[1:])
    assert found.neighbours("p1") == ("p2", "p3", "p4")
    assert found.holders("p1") == names(5), "who said nothing keeps its number"
    assert found.threshold == setup_of(5).threshold
    assert found.thin(()) == ()


@pytest.mark.parametrize(
    ("promised", "found"),
    [
        ((65, 6, 6), (13, 7, 7)),
        ((100, 10, 10), (21, 11, 11)),
        ((1000, 50, 50), (39, 23, 29)),
        ((1000, 100, 100), (61, 35, 49)),
        ((1000, 200, 100), (89, 57, 86)),
        ((10_000, 1000, 1000), (72, 41, 59)),
    ],
)
def test_neighbours_grow_with_what_is_promised_and_hardly_with_the_parties(
    promised: tuple[int, int, int], found: tuple[int, int, int]
) -> None:
    assert terms(*promised) == Terms(reach=found[0], counted=found[1], threshold=found[2])


def test_either_side_of_a_party_alone_has_the_published_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "PRIVACY_BITS", 40)  # as the table of the design has it, for lost ones nobody chose
    found = graph._of_reach(10_000, 1000, 1000, 60)
    assert found is not None
    assert (found.reach, found.counted) == (60, 32)
    assert graph._of_reach(10_000, 1000, 1000, 59) is None


def test_what_no_smaller_degree_holds_is_complete() -> None:
    assert terms(100, 33, 33) is None, "a third corrupt and a third lost, of a hundred"
    assert terms(70, 30, 39) is None


def test_the_bounds_are_those_of_drawing_without_replacement() -> None:
    people, marked, drawn = 12, 4, 5
    draws = list(combinations(range(people), drawn))
    for least in range(drawn + 2):
        share = Fraction(sum(sum(one < marked for one in draw) >= least for draw in draws), len(draws))
        for bits in range(8):
            assert graph._rare(people, marked, drawn, least, bits, 3) is (3 * share <= Fraction(1, 1 << bits))


# --- the order -------------------------------------------------------------------------------------------------------


def test_the_circle_is_a_pure_function_of_the_adverts() -> None:
    setup = many(100, 10, 10)
    one, again, other = (Graph.of(setup, digest, names(100)) for digest in (DIGEST, DIGEST, bytes(32)))
    assert one == again
    assert one.circle[:6] == KNOWN, "the order is part of the protocol: all members of all versions compute it"
    assert other.circle != one.circle
    assert sorted(one.circle) == sorted(other.circle) == list(names(100))


KNOWN = ("p77", "p35", "p10", "p72", "p68", "p79")


def test_neighbours_are_mutual_and_as_many_on_either_side() -> None:
    found = Graph.of(many(100, 10, 10), DIGEST, names(100))
    for name in names(100):
        near = found.neighbours(name)
        assert len(set(near)) == len(near) == 2 * 21
        assert list(near) == sorted(near)
        assert all(name in found.neighbours(other) for other in near)
        assert near == tuple(other for other in names(100) if found.meet(name, other))
        assert found.holders(name) == tuple(sorted((*near, name)))


def test_whatever_list_holds_the_rule_honest_contributors_hang_together() -> None:
    found = Graph.of(many(100, 10, 10), DIGEST, names(100))
    assert found.terms is not None
    draw = random.Random(5)
    parted = refused = 0
    for turn in range(400):
        corrupt = set(draw.sample(found.circle, 10))
        start, gap = draw.randrange(100), draw.randrange(14, 22)
        chosen = [found.circle[(start + at + step) % 100] for at in (0, 40) for step in range(gap)]
        lost = set(chosen if turn % 2 else draw.sample(found.circle, 2 * gap)) - corrupt  # with guile, or at random
        counted = set(found.circle) - lost
        whole = hangs_together(found, counted - corrupt)
        if found.thin(counted):
            refused += 1
            parted += not whole
        else:
            assert whole
    assert parted > 20, "some of these lists would have parted the honest"
    assert refused < 400


def hangs_together(found: Graph, parties: set[str]) -> bool:
    seen, new = set[str](), {min(parties)}
    while new:
        seen |= new
        new = {name for one in new for name in found.neighbours(one) if name in parties} - seen
    return seen == parties


# --- sums ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
def test_a_sum_on_a_circle_is_the_sum() -> None:
    assert Cohort(N, 2).total(NUMBERS) == [sum(column) for column in zip(*NUMBERS.values(), strict=True)]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("phase", ["advert", "shares", "head", "consent", "unmask"])
def test_parties_may_be_lost_at_every_step(phase: str) -> None:
    cohort = Cohort(N, 2)
    gone = ("p02", "p05", "p09")
    cohort.run(NUMBERS, dict.fromkeys(gone, phase))
    counted = [name for name in names(N) if name not in gone or phase in ("consent", "unmask")]
    for machine in (cohort.aggregator, cohort.parties["p00"]):
        (release,) = machine.released
        assert release.parties == tuple(counted)
        assert release.total == plain_sum(cohort, NUMBERS, counted)


def test_68_real_parties_sum_among_26_neighbours_with_six_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = cohort_of(monkeypatch, many(68, 6, 6))
    numbers = {name: [place, 7] for place, name in enumerate(names(68))}
    gone = names(68)[3::12]
    cohort.run(numbers, dict.fromkeys(gone, "head"))
    (release,) = cohort.aggregator.released
    counted = [name for name in names(68) if name not in gone]
    assert len(gone) == 6
    assert release.total == plain_sum(cohort, numbers, counted)
    assert cohort.parties["p00"].released == [release]
    shares = next(e for e in cohort.parties["p00"].effects if isinstance(e, Send) and isinstance(e.message, Shares))
    assert len(shares.chunks) == 26


def cohort_of(monkeypatch: pytest.MonkeyPatch, setup: Setup) -> Cohort:
    monkeypatch.setattr("tests.protocols.cohort.setup_of", lambda *_, **__: setup)
    return Cohort(len(setup.parties), 2)


@pytest.mark.usefixtures("small")
def test_a_party_puts_on_its_neighbours_masks_and_holds_their_shares_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[masks.Streams] = []
    blind = masks.masked
    monkeypatch.setattr(
        masks, "masked", lambda vector, ring, streams: used.append(streams) or blind(vector, ring, streams)
    )
    cohort = Cohort(N, 2)
    cohort.total(NUMBERS)
    assert {len(streams.add) + len(streams.subtract) for streams in used} == {1 + 2 * FEW.reach}
    for machine in cohort.parties.values():
        unmask = next(e.message for e in machine.effects if isinstance(e, Send) and isinstance(e.message, Unmask))
        assert (len(unmask.self_shares), len(unmask.key_shares)) == (1 + 2 * FEW.reach, 0)


@pytest.mark.usefixtures("small")
def test_of_every_neighbour_one_kind_of_share_is_given_and_of_others_none() -> None:
    cohort = Cohort(N, 2)
    cohort.run(NUMBERS, {"p03": "head"})
    ring = cohort.aggregator.state.masked.graph  # type: ignore[attr-defined]
    for name, machine in cohort.parties.items():
        if name != "p03":
            unmask = next(e.message for e in machine.effects if isinstance(e, Send) and isinstance(e.message, Unmask))
            near = ring.meet(name, "p03")
            assert (len(unmask.self_shares), len(unmask.key_shares)) == (5 - near, int(near))


# --- lies ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
def test_boxes_along_another_graph_than_the_seeded_one_are_refused() -> None:
    cohort = Cohort(N, 2)
    cohort.take("advert", names(N), NUMBERS)
    setup, bundle = cohort.setup, cohort.inbox["p00"][0]
    shares = {name: answer for name in names(N) for answer in cohort.deliver(name)}
    state = cohort.parties["p00"].state
    seeded = Graph.of(setup, state.adverts_hash, names(N))  # type: ignore[attr-defined]
    other = replace(seeded, circle=names(N), _places={name: place for place, name in enumerate(names(N))})
    assert len(bundle) == N
    for name, machine in cohort.parties.items():
        assert other.neighbours(name) != seeded.neighbours(name)
        with pytest.raises(ProtocolViolation) as caught:
            machine.give(Delivered(parcels=along(other, shares, name)))
        assert caught.value.party == COORDINATOR
        machine.give(Delivered(parcels=along(seeded, shares, name)))
        assert machine.state.awaits.what == "contribution"


def along(way: Graph, shares: dict[str, Parcel], target: str) -> tuple[Parcel, ...]:
    """What a coordinator forwards to one party where `way` is the graph."""
    found = []
    for dealer, parcel in shares.items():
        near, chunks = way.neighbours(dealer), ()
        if target in near:
            place = near.index(target)
            leaves = [merkle.leaf_hash(box) for box in parcel.chunks]
            chunks = (parcel.chunks[place], *merkle.inclusion(leaves, place))
        found.append(replace(parcel, chunks=chunks))
    return tuple(found)


@pytest.mark.usefixtures("small")
def test_more_or_fewer_boxes_than_neighbours_are_refused_by_the_aggregator() -> None:
    cohort = Cohort(N, 2)
    cohort.take("advert", names(N), NUMBERS)
    (honest,) = cohort.deliver("p00")
    for chunks in (honest.chunks[:-1], (*honest.chunks, honest.chunks[0])):
        with pytest.raises(ProtocolViolation, match="4 boxes") as caught:
            cohort.receive(Received(parcel=replace(honest, chunks=chunks)))
        assert caught.value.party == "p00"


def parting(cohort: Cohort) -> tuple[Graph, list[str], list[str]]:
    """The graph, four parties whose loss parts the circle, and one of the parts."""
    state = cohort.parties["p00"].state
    ring = Graph.of(cohort.setup, state.adverts_hash, names(N))  # type: ignore[attr-defined]
    return ring, [ring.circle[place] for place in (0, 1, 5, 6)], list(ring.circle[2:5])


def parted(cohort: Cohort) -> tuple[Graph, list[str], dict[str, Parcel], tuple[Parcel, ...]]:
    """All contribute, and the coordinator calls those lost whose loss parts the circle; what it shows."""
    cohort.shared()
    ring, lost, arc = parting(cohort)
    heads = {name: cohort.contribute(name, NUMBERS[name]) for name in names(N)}
    return ring, arc, heads, tuple(replace(heads[name], chunks=()) for name in names(N) if name not in lost)


@pytest.mark.usefixtures("small")
def test_a_list_that_parts_the_honest_is_refused_by_every_party() -> None:
    cohort = Cohort(N, 2)
    *_, shown = parted(cohort)
    assert len(shown) == cohort.setup.least, "as many as the setup wants"
    for machine in cohort.parties.values():
        with pytest.raises(ProtocolViolation, match="neighbouring places") as caught:
            machine.give(Delivered(parcels=shown))
        assert caught.value.party == COORDINATOR
        assert not any(isinstance(effect, Intend) for effect in machine.effects), "nothing was agreed to"


@pytest.mark.usefixtures("small")
def test_the_planted_fault_of_any_list_of_contributors_opens_a_part_of_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Graph, "thin", lambda *_: ())
    cohort = Cohort(N, 2)
    ring, arc, heads, shown = parted(cohort)
    counted = [parcel.message.sender for parcel in shown]
    for name in counted:
        cohort.parties[name].give(Delivered(parcels=shown))
    known = cohort.parties[counted[0]].state.known  # type: ignore[attr-defined]
    secrets = {name: masks.secrets_of(entropy(name), cohort.setup) for name in names(N)}
    opened = masks.streams_off(
        {name: secrets[name].seed for name in arc},
        {name: secrets[name].mask_private for name in known.masked.absent(counted)},
        {side.party: side for side in known.masked.sides},
        known.binding,
        ring.meet,
    )
    chunks, _ = masks.summed([heads[name].chunks for name in arc], "z2^128", opened)
    assert b"".join(chunks) == plain_sum(cohort, NUMBERS, arc), "three parties alone, of ten that agreed"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("phase", ["shares", "head"])
def test_the_aggregator_gives_up_where_those_who_are_left_are_too_thin(phase: str) -> None:
    cohort = Cohort(N, 2)
    cohort.take("advert", names(N), NUMBERS)
    ring = Graph.of(cohort.setup, cohort.aggregator.state.adverts_hash, names(N))  # type: ignore[attr-defined]
    there = [name for name in names(N) if name not in ring.circle[:2]]
    if phase == "head":
        cohort.exchange()
    cohort.take(phase, there, NUMBERS)
    assert cohort.aggregator.state.ended
    assert {blame.party for blame in cohort.aggregator.blames} == set(ring.circle[:2])


@pytest.mark.usefixtures("small")
def test_an_audit_refuses_a_list_that_parts_the_honest() -> None:
    cohort = Cohort(N, 2)
    adverts = cohort.adverts()
    shares = {name: answer for name in names(N) for answer in cohort.deliver(name)}
    for answer in shares.values():
        cohort.receive(Received(parcel=answer))
    cohort.exchange()
    ring, lost, _ = parting(cohort)
    heads = {name: cohort.contribute(name, NUMBERS[name]) for name in names(N)}
    keys = auditing.advertised(cohort.setup, adverts, COORDINATOR)
    masked, u2_hash = auditing.dealt(
        cohort.setup, keys, [replace(parcel, chunks=()) for parcel in shares.values()], COORDINATOR
    )
    assert masked.graph == ring
    shown = [parcel for name, parcel in heads.items() if name not in lost]
    with pytest.raises(ProtocolViolation, match="neighbouring places"):
        auditing.counted(cohort.spec, keys, masked, u2_hash, shown, COORDINATOR)
    assert auditing.counted(cohort.spec, keys, masked, u2_hash, list(heads.values()), COORDINATOR).counted == names(N)


@pytest.mark.usefixtures("small")
def test_fewer_than_t_neighbours_open_nothing_however_many_others_speak() -> None:
    cohort = Cohort(N, 2)
    cohort.shared()
    cohort.heads(NUMBERS)
    cohort.exchange()  # consents
    ring = cohort.aggregator.state.masked.graph  # type: ignore[attr-defined]
    victim = ring.circle[0]
    silent = ring.neighbours(victim)[: 2 * FEW.reach + 2 - FEW.threshold]
    speaking = [name for name in names(N) if name not in silent]
    cohort.exchange(*speaking)
    assert len(speaking) > FEW.threshold
    assert cohort.aggregator.released == []
    cohort.exchange(silent[0])
    assert len(cohort.aggregator.released) == 1


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("threshold", [FEW.threshold, 2])
def test_the_planted_fault_of_a_small_threshold_lets_corrupt_neighbours_open_a_seed(
    monkeypatch: pytest.MonkeyPatch, threshold: int
) -> None:
    monkeypatch.setattr(graph, "terms", lambda *_: replace(FEW, threshold=threshold))
    cohort = Cohort(N, 2)
    cohort.shared()
    ring = cohort.aggregator.state.masked.graph  # type: ignore[attr-defined]
    victim, *near = ring.circle[: 1 + FEW.reach]  # two corrupt ones: none too many at threshold 3
    held = {
        ring.holders(victim).index(name): dict(
            zip(cohort.parties[name].state.masked.around(name), cohort.parties[name].state.held, strict=True)  # type: ignore[attr-defined]
        )[victim][0]
        for name in near
    }
    opened = shamir.combined(shamir.weights(tuple(held)), tuple(held.values()))
    seed = masks.secrets_of(entropy(victim), cohort.setup).seed
    assert (opened == seed) is (threshold == 2)


@pytest.mark.usefixtures("small")
def test_both_shares_of_one_neighbour_are_no_unmask() -> None:
    cohort = Cohort(N, 2)
    cohort.shared()
    cohort.take("head", [name for name in names(N) if name != "p03"], NUMBERS)
    cohort.exchange(*(name for name in names(N) if name != "p03"))  # consents
    (parcel,) = cohort.deliver("p00")
    unmask = parcel.message.value
    assert isinstance(unmask, Unmask)
    both = replace(unmask, key_shares=(*unmask.key_shares, bytes(shamir.SHARE_BYTES)))
    with pytest.raises(ProtocolViolation, match="of keys") as caught:
        cohort.receive(Received(parcel=Parcel(message=attested(both))))
    assert caught.value.party == "p00"


@pytest.mark.usefixtures("small")
def test_the_planted_fault_of_masks_between_strangers_that_are_taken_off_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = masks.streams_off
    monkeypatch.setattr(
        masks, "streams_off", lambda seeds, keys, sides, binding, *_: whole(seeds, keys, sides, binding)
    )
    cohort = Cohort(N, 2)
    cohort.run(NUMBERS, {"p03": "head"})
    (release,) = cohort.aggregator.released
    assert release.total != plain_sum(cohort, NUMBERS, [name for name in names(N) if name != "p03"])

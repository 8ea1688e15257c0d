"""Which state holds what: a secret leaves a state as soon as nothing more is done with it, and none is ever printed.

Every byte string in a state is looked at, however deep it lies, and held against all secrets that a party ever has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import pytest

from federation.crypto import shamir
from federation.domain.job import Blame
from federation.protocols.events import Begin, Contribute, Delivered, Received, Stopped, Withdraw
from federation.protocols.masked_sum import masks, party
from federation.protocols.masked_sum.messages import Opening, Unmask
from federation.protocols.secure_sum import State
from federation.protocols.setup import Check, Setup
from tests.protocols.cohort import COORDINATOR, PHASES, Cohort, entropy, names, setup_of

NUMBERS = [123_456_789_123_456_789, -987_654_321_987_654_321]
VECTORS = {p: [number + i for number in NUMBERS] for i, p in enumerate(names(4))}

# What each state of a party holds of everything below; nothing else, and never anything of "never".
HOLDS: dict[str, set[str]] = {
    "Advertised": {"entropy"},
    "Dealt": {"entropy", "its own shares of its secrets"},
    "Shared": {"entropy", "its own shares of its secrets", "a peer's share of its seed", "a peer's share of its key"},
    "Masked": {"lot", "its own shares of its secrets", "a peer's share of its seed", "a peer's share of its key"},
    "Consented": {"lot", "its own shares of its secrets", "a peer's share of its seed", "a peer's share of its key"},
    "Unmasked": {"lot"},
    "Sampling": {"an opened seed", "an opened key"},  # everybody has them
    "Done": set(),
    "Aside": set(),
    "Withdrawn": set(),
    "Aborted": set(),
}


def bytes_in(value: object) -> Iterator[bytes]:
    """Every byte string that a state holds, however deep."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from bytes_in(key)
            yield from bytes_in(item)
    elif isinstance(value, tuple | list | set | frozenset):
        for item in value:
            yield from bytes_in(item)
    elif dataclasses.is_dataclass(value):
        for item in dataclasses.fields(value):
            yield from bytes_in(getattr(value, item.name))


def shares_of(setup: Setup, dealer: str) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """All shares that a dealer makes, of its seed and of its mask key."""
    secrets, n, t = masks.secrets_of(entropy(dealer), setup), len(setup.parties), setup.threshold
    return (
        shamir.split(secrets.seed, t, n, secrets.seed_polynomial),
        shamir.split(secrets.mask_private, t, n, secrets.key_polynomial),
    )


def all_secrets(cohort: Cohort, me: str) -> dict[str, set[bytes]]:
    """What `me` has at any time, by name; "never" is what no state may hold."""
    setup = cohort.setup
    secrets = masks.secrets_of(entropy(me), setup)
    place = setup.parties.index(me)
    own_seed, own_key = shares_of(setup, me)
    peers = [peer for peer in setup.parties if peer != me]
    return {
        "entropy": {entropy(me)},
        "lot": {secrets.lot},
        "its own shares of its secrets": {own_seed[place], own_key[place]},
        "a peer's share of its seed": {shares_of(setup, peer)[0][place] for peer in peers},
        "a peer's share of its key": {shares_of(setup, peer)[1][place] for peer in peers},
        "an opened seed": {masks.secrets_of(entropy(peer), setup).seed for peer in names(4)[:3]},
        "an opened key": {masks.secrets_of(entropy("p3"), setup).mask_private},
        "never": {
            Contribute.of(cohort.spec, VECTORS[me]).vector,
            secrets.enc_private,
            secrets.seed_polynomial,
            secrets.key_polynomial,
            *(share for i, share in enumerate(own_seed) if i != place),
            *(share for i, share in enumerate(own_key) if i != place),
            *(entropy(peer) for peer in peers),
        },
    }


def held(state: State, secrets: Mapping[str, set[bytes]]) -> set[str]:
    found = set(bytes_in(state))
    return {name for name, values in secrets.items() if found & values}


def seen(check: Check = Check.ALL) -> Iterator[tuple[str, State, Cohort]]:
    """Every state of p0 in a sum in which p3 is lost before its head, and the ways out of each."""
    cohort = Cohort(4, 2, check=check)
    for phase in PHASES:
        there = names(4)[:3] if PHASES.index(phase) > 1 else names(4)
        events = len(cohort.parties["p0"].events)
        cohort.take(phase, there, VECTORS)
        replayed = cohort.branch().parties["p0"]
        replayed.state = replayed.start
        for at, event in enumerate(cohort.parties["p0"].events):
            replayed.state = replayed.step(replayed.state, event).state
            if at >= events:
                yield type(replayed.state).__name__, replayed.state, cohort
    for state in states_beside():
        yield type(state).__name__, state, cohort


def states_beside() -> Iterator[State]:
    """Aside, Withdrawn and Aborted, from wherever they are reached."""
    cohort = Cohort(4, 2)
    for phase in PHASES:
        cohort.take(phase, names(4), VECTORS)
        machine = cohort.parties["p0"]
        for event in (Stopped(blames=(Blame(party="p1", code="refused", message="no"),)), Withdraw()):
            after = machine.step(machine.state, event).state
            if type(after) is not type(machine.state):
                yield after
    for phase in ("advert", "shares"):
        cohort = Cohort(4, 2)
        for earlier in PHASES[: PHASES.index(phase)]:
            cohort.take(earlier, names(4), VECTORS)
        cohort.take(phase, names(4)[1:], VECTORS)
        if phase == "advert":
            cohort.begin("p0")
        cohort.deliver("p0")
        assert type(cohort.parties["p0"].state).__name__ == "Aside"
        yield cohort.parties["p0"].state


@pytest.mark.parametrize("check", Check)
def test_every_state_holds_exactly_the_secrets_that_it_still_needs(check: Check) -> None:
    reached = set()
    for name, state, cohort in seen(check):
        reached.add(name)
        assert held(state, all_secrets(cohort, "p0")) == HOLDS[name], name
    assert reached == set(HOLDS) - ({"Sampling"} if check is Check.ALL else set())


def test_no_state_of_a_party_is_left_out_of_the_table() -> None:
    states = {name for name, kind in vars(party).items() if isinstance(kind, type) and issubclass(kind, party.Taking)}
    assert states - {"Taking"} | {"Aborted"} == set(HOLDS)


@pytest.mark.parametrize(
    ("state", "leaks"),
    [
        ("Masked", lambda now: dataclasses.replace(now, lot=entropy("p0"))),
        ("Unmasked", lambda now: dataclasses.replace(now, lot=shares_of(setup_of(4), "p1")[0][0])),
        ("Done", lambda now: dataclasses.replace(now, seen=(masks.secrets_of(entropy("p0"), setup_of(4)).lot,))),
    ],
    ids=["entropy kept after masking", "a peer's share kept after giving it", "the lot kept at the end"],
)
def test_the_planted_fault_of_a_secret_that_stays_is_caught(state: str, leaks: object) -> None:
    (found,) = [(now, cohort) for name, now, cohort in seen() if name == state][:1]
    now, cohort = found
    assert held(leaks(now), all_secrets(cohort, "p0")) != HOLDS[state]  # type: ignore[operator]


def test_the_aggregator_keeps_no_share_after_the_opening() -> None:
    cohort = Cohort(4, 2, check=Check.SAMPLE)
    cohort.run(VECTORS, {"p3": "head"})
    given = {
        share
        for event in cohort.aggregator.events
        if isinstance(event, Received) and isinstance(event.parcel.message.value, Unmask)
        for share in (*event.parcel.message.value.self_shares, *event.parcel.message.value.key_shares)
    }
    assert given
    before = cohort.aggregator.branch()
    before.state = before.start
    holding = set()
    for event in cohort.aggregator.events:
        before.state = before.step(before.state, event).state
        if given & set(bytes_in(before.state)):
            holding.add(type(before.state).__name__)
    assert holding == {"Unmasking"}


def test_the_opening_tells_seeds_of_those_who_are_counted_and_keys_of_those_who_are_not() -> None:
    cohort = Cohort(4, 2)
    cohort.run(VECTORS, {"p3": "head"})
    (said,) = [
        parcel.message.value
        for event in cohort.parties["p0"].events
        if isinstance(event, Delivered)
        for parcel in event.parcels
        if isinstance(parcel.message.value, Opening)
    ]
    secrets = {p: masks.secrets_of(entropy(p), cohort.setup) for p in names(4)}
    assert said.seeds == tuple(secrets[p].seed for p in names(4)[:3])
    assert said.keys == (secrets["p3"].mask_private,)


def test_no_secret_is_in_what_a_state_a_message_or_an_event_prints() -> None:
    printed = []
    for _, state, cohort in seen(Check.SAMPLE):
        printed.append(repr(state))
        secrets = all_secrets(cohort, "p0")
    machines = (*cohort.parties.values(), cohort.aggregator)
    printed += [repr(event) for machine in machines for event in (*machine.events, *machine.effects)]
    printed.append(repr(Begin(setup=cohort.setup, me="p0", coordinator=COORDINATOR, entropy=entropy("p0"))))
    printed.append(repr(masks.secrets_of(entropy("p0"), cohort.setup)))
    text = "\n".join(printed)
    assert "Unmask(" in text
    for name, values in secrets.items():
        assert not any(repr(value)[2:-1] in text or value.hex() in text for value in values), name


@pytest.mark.parametrize(
    "changes", [{"attempt": 1}, {"round_index": 1}, {"job_hash": b"k" * 32}, {"roster_hash": b"s" * 32}], ids=str
)
def test_another_setup_has_other_secrets_even_from_the_same_entropy(changes: dict[str, object]) -> None:
    one = masks.secrets_of(entropy("p0"), setup_of(3))
    other = masks.secrets_of(entropy("p0"), setup_of(3, **changes))
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)]
    assert all(left != right for left, right in pairs)
    assert len({value for pair in pairs for value in pair}) == 2 * len(pairs), "and no two of one setup are equal"

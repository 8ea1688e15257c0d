"""Every order in which the frames of one secure sum of three parties can arrive, with what may go wrong in between.

A state is the three parties' machines, the aggregator's, the frames on their lines, and what may still go wrong: one
crash, one duplicate, one recall. Lines are in order. A crash loses memory and what is on the lines; memory is folded
again from the events that a driver has stored by then, and after it everything is sent again. A duplicate is any frame
that its line has carried before, again, at any later time. A recall is the coordinator's impatience while consents are
out.

The machines are slow and there are few of their states: a step is made once for each machine state and frame, and its
result is looked up from then on. States are told apart by the numbers of what they are made of.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from federation.protocols.events import (
    Begin,
    Broadcast,
    Contribute,
    Deliver,
    Delivered,
    Opened,
    Parcel,
    Received,
    Release,
    Send,
    SpecKnown,
    Withdraw,
)
from federation.protocols.machine import fold
from federation.protocols.masked_sum import MaskedSum
from federation.protocols.secure_sum import State
from federation.protocols.setup import Setup
from tests.simulation.machines import BASE, COORDINATOR, entropy, parcel, setup_of, spec_of

PARTIES = 3
EVERYBODY = range(PARTIES)
TOTAL = sum(BASE**place for place in EVERYBODY)
OFFER = 0  # the number of the frame that every line begins with


class Wrong(AssertionError):
    """What must never be."""


@dataclass(frozen=True)
class Frame:
    """What travels: of an attempt, a party's parcel or a bundle of them, or what the coordinator says."""

    kind: str  # offer, message, bundle, recall, proof
    attempt: int
    parcels: tuple[Parcel, ...] = ()


@dataclass(frozen=True)
class Party:
    """A party's driver around its machine: `events` and `sent` are of the open attempt, `ever` is all that it sent."""

    place: int
    attempt: int
    state: State
    events: tuple[Any, ...] = ()
    sent: tuple[int, ...] = ()
    ever: tuple[int, ...] = ()
    total: int | None = None


@dataclass(frozen=True)
class Aggregator:
    """The coordinator's driver around its machine.

    Attributes:
        events: of the open attempt; what a crash loses of them is what came after the first `stored`.
        told: party -> the frames that it has to have, in order; ever -> all that were sent to it.
        words: who has withdrawn.
    """

    attempt: int
    state: State
    events: tuple[Any, ...]
    told: tuple[tuple[int, ...], ...] = ((),) * PARTIES
    ever: tuple[tuple[int, ...], ...] = ((),) * PARTIES
    recalled: bool = False
    words: tuple[Parcel, ...] = ()
    total: int | None = None


class Node(NamedTuple):
    """One state of everything, in numbers: the memory that the aggregator has stored is a number too."""

    aggregator: int
    stored: int
    parties: tuple[int, ...]
    up: tuple[tuple[int, ...], ...]  # to the aggregator
    down: tuple[tuple[int, ...], ...]  # to the parties
    crashes: int
    duplicates: int
    recalls: int
    dead: int  # who is down, -1 for nobody


def frozen(value: object) -> Hashable:
    """Return a machine state as something that equals another exactly when the states do."""
    if dataclasses.is_dataclass(value):
        return (type(value).__name__, *(frozen(getattr(value, one.name)) for one in dataclasses.fields(value)))
    if isinstance(value, Mapping):
        return tuple(sorted((repr(key), frozen(one)) for key, one in value.items()))
    if isinstance(value, tuple | list):
        return tuple(map(frozen, value))
    assert isinstance(value, Hashable)
    return value


@dataclass
class Numbers:
    """Gives everything that is met a number, the same for what is equal."""

    known: dict[Hashable, int] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)

    def of(self, key: Hashable, value: object) -> tuple[int, bool]:
        """Return the number of what has this key, and whether it is new."""
        number = self.known.setdefault(key, len(self.values))
        new = number == len(self.values)
        if new:
            self.values.append(value)
        return number, new


class Sums:
    """One secure sum of three parties, whatever happens.

    Attributes:
        frames, parties, aggregators: all that were met, by number.
        steps: how many steps machines really made.
    """

    def __init__(self) -> None:
        self.frames, self.parties, self.aggregators = Numbers(), Numbers(), Numbers()
        self.steps = 0
        self._of_party: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {}
        self._of_aggregator: dict[tuple[int, int, int], tuple[int, tuple[tuple[int, int], ...]]] = {}
        assert self._frame(Frame("offer", 0)) == OFFER

    # --- what is met ------------------------------------------------------------------------------------------------

    def start(self, *, crashes: int, duplicates: int, recalls: int) -> Node:
        """Return where everything begins: everybody attends, the offer is on its way."""
        parties = tuple(self._party(Party(place, 0, MaskedSum.party())) for place in EVERYBODY)
        aggregator = self._aggregator(self._opened(0))
        return Node(
            aggregator=aggregator,
            stored=aggregator,
            parties=parties,
            up=((),) * PARTIES,
            down=((OFFER,),) * PARTIES,
            crashes=crashes,
            duplicates=duplicates,
            recalls=recalls,
            dead=-1,
        )

    def _frame(self, frame: Frame) -> int:
        key = (frame.kind, frame.attempt, *((p.message.sender, p.message.digest, p.chunks) for p in frame.parcels))
        return self.frames.of(key, frame)[0]

    def _party(self, party: Party) -> int:
        key = (party.place, party.attempt, frozen(party.state), party.sent, party.ever, party.total)
        number, new = self.parties.of(key, party)
        if new and party.events:
            again = fold(MaskedSum.party_step, MaskedSum.party(), party.events)
            if again.state != party.state:
                raise Wrong("what was stored does not fold to the same state")
            said = tuple(self._frame(Frame("message", party.attempt, (parcel(e),))) for e in sends(again.effects))
            if party.total is None and said != party.sent:
                raise Wrong("what was stored does not fold to the same bytes")
        return number

    def _aggregator(self, at: Aggregator) -> int:
        words = frozenset(word.message.sender for word in at.words)
        number, new = self.aggregators.of(
            (at.attempt, frozen(at.state), at.told, at.ever, at.recalled, words, at.total), at
        )
        if new and fold(MaskedSum.aggregator_step, MaskedSum.aggregator(), at.events).state != at.state:
            raise Wrong("what the aggregator stored does not fold to the same state")
        return number

    def _setup(self, attempt: int) -> Setup:
        return setup_of(PARTIES, attempt=attempt)

    def _opened(self, attempt: int) -> Aggregator:
        setup = self._setup(attempt)
        events = (Opened(setup=setup, coordinator=COORDINATOR), SpecKnown(spec=spec_of(setup)))
        return Aggregator(attempt, fold(MaskedSum.aggregator_step, MaskedSum.aggregator(), events).state, events)

    # --- a party ----------------------------------------------------------------------------------------------------

    def party_gets(self, number: int, frame: int) -> tuple[int, tuple[int, ...]]:
        """Return the party after a frame, and the frames that it answers."""
        known = self._of_party.get((number, frame))
        if known is None:
            party, out = self._answered(self.parties.values[number], self.frames.values[frame])
            known = self._of_party[number, frame] = self._party(replace(party, ever=party.ever + out)), out
        return known

    def _answered(self, party: Party, frame: Frame) -> tuple[Party, tuple[int, ...]]:
        if frame.kind == "offer":
            return self._begun(party) if not party.events else (party, party.sent)
        if party.total is not None or frame.attempt < party.attempt:
            return party, ()
        if frame.attempt > party.attempt:
            raise Wrong("a party was shown a later attempt")
        match frame.kind:
            case "recall":
                return self._stepped(party, Withdraw())
            case "proof":
                senders = {one.message.sender for one in frame.parcels}
                for one in frame.parcels:
                    MaskedSum.check_withdrawal(self._setup(party.attempt), one, COORDINATOR)
                if len(senders) < self._setup(party.attempt).withdrawals:
                    raise Wrong("too few have withdrawn")
                fresh = Party(party.place, party.attempt + 1, MaskedSum.party(), ever=party.ever)
                return self._begun(fresh)
            case _:
                return self._stepped(party, Delivered(parcels=frame.parcels))

    def _begun(self, party: Party) -> tuple[Party, tuple[int, ...]]:
        setup = self._setup(party.attempt)
        me = setup.parties[party.place]
        secret = entropy(me, str(party.attempt))
        return self._stepped(party, Begin(setup=setup, me=me, coordinator=COORDINATOR, entropy=secret))

    def _stepped(self, party: Party, event: Any) -> tuple[Party, tuple[int, ...]]:
        self.steps += 1
        transition = MaskedSum.party_step(party.state, event)
        out = tuple(self._frame(Frame("message", party.attempt, (parcel(e),))) for e in sends(transition.effects))
        stored = party.events if transition.state == party.state and not out else (*party.events, event)
        party = replace(party, state=transition.state, events=stored, sent=party.sent + out)
        for effect in transition.effects:
            if isinstance(effect, Release):
                party = replace(party, total=checked(effect), sent=())
        if party.state.awaits.what == "contribution":
            spec = spec_of(self._setup(party.attempt))
            party, head = self._stepped(party, Contribute.of(spec, [BASE**party.place]))
            out += head
        return party, out

    # --- the aggregator ---------------------------------------------------------------------------------------------

    def aggregator_gets(self, number: int, place: int, frame: int) -> tuple[int, tuple[tuple[int, int], ...]]:
        """Return the aggregator after a party's frame, and (party, frame) that it sends."""
        known = self._of_aggregator.get((number, place, frame))
        if known is None:
            at, out = self._taken(self.aggregators.values[number], self.frames.values[frame])
            known = self._of_aggregator[number, place, frame] = self._aggregator(at), out
        return known

    def recalled(self, number: int) -> tuple[int, tuple[tuple[int, int], ...]] | None:
        """Return the aggregator after it lost its patience with consents that are out; None where it must have some."""
        at: Aggregator = self.aggregators.values[number]
        if at.recalled or at.state.awaits.what != "consent":
            return None
        recall = self._frame(Frame("recall", at.attempt))
        at, out = _told(replace(at, recalled=True), [(place, recall) for place in EVERYBODY])
        return self._aggregator(at), out

    def _taken(self, at: Aggregator, frame: Frame) -> tuple[Aggregator, tuple[tuple[int, int], ...]]:
        if frame.attempt < at.attempt:
            return at, ()
        if frame.attempt > at.attempt:
            raise Wrong("the aggregator was shown a later attempt")
        (one,) = frame.parcels
        if isinstance(one.message.value, MaskedSum.withdrawal):
            return self._withdrawn(at, one)
        if at.recalled:
            return at, ()
        self.steps += 1
        event = Received(parcel=one)
        transition = MaskedSum.aggregator_step(at.state, event)
        if transition.state != at.state:
            at = replace(at, state=transition.state, events=(*at.events, event))
        out = []
        for effect in transition.effects:
            match effect:
                case Broadcast(parcels=parcels, statement=statement):
                    said = () if statement is None else (parcel(statement),)
                    bundle = self._frame(Frame("bundle", at.attempt, (*parcels, *said)))
                    out += [(place, bundle) for place in EVERYBODY]
                case Deliver(to=party, parcels=parcels):
                    bundle = self._frame(Frame("bundle", at.attempt, parcels))
                    out.append((self._setup(0).parties.index(party), bundle))
                case Release():
                    at = replace(at, total=checked(effect))
        return _told(at, out)

    def _withdrawn(self, at: Aggregator, word: Parcel) -> tuple[Aggregator, tuple[tuple[int, int], ...]]:
        setup = self._setup(at.attempt)
        MaskedSum.check_withdrawal(setup, word, word.message.sender)
        if not at.recalled:
            return at, ()
        words = {each.message.sender: each for each in (*at.words, word)}
        at = replace(at, words=tuple(words[party] for party in setup.parties if party in words))
        if len(words) < setup.withdrawals:
            return at, ()
        proof = self._frame(Frame("proof", at.attempt, at.words))
        return _told(replace(self._opened(at.attempt + 1), ever=at.ever), [(place, proof) for place in EVERYBODY])


def _told(at: Aggregator, out: list[tuple[int, int]]) -> tuple[Aggregator, tuple[tuple[int, int], ...]]:
    """Note what the parties have to have."""
    told, ever = list(at.told), list(at.ever)
    for place, frame in out:
        told[place] += (frame,)
        ever[place] += (frame,)
    return replace(at, told=tuple(told), ever=tuple(ever)), tuple(out)


def sends(effects: tuple[Any, ...]) -> list[Send]:
    """The messages among effects."""
    return [effect for effect in effects if isinstance(effect, Send)]


def checked(release: Release) -> int:
    """The number that was opened. Raises Wrong unless everybody is in it once."""
    (number,) = release.numbers
    if number != TOTAL or len(release.parties) != PARTIES:
        raise Wrong(f"a wrong sum was opened: {number} of {release.parties}")
    return number


# --- all of them -----------------------------------------------------------------------------------------------------


def settled(sums: Sums, node: Node) -> Node:
    """Return the state without the frames that come next on their line and change nothing.

    Such a frame was known to its receiver, or is of what is closed: it changes nothing later either, and a crash clears
    it. So its delivery commutes with every other step, and taking it first leaves out no machine state and no ending.
    """
    up, down = list(node.up), list(node.down)
    for place, number in enumerate(node.parties):
        line = down[place]
        while line and sums.party_gets(number, line[0]) == (number, ()):
            line = line[1:]
        down[place] = line
        line = up[place]
        while line and sums.aggregator_gets(node.aggregator, place, line[0]) == (node.aggregator, ()):
            line = line[1:]
        up[place] = line
    return node._replace(up=tuple(up), down=tuple(down))


def following(sums: Sums, node: Node) -> Iterator[Node]:
    """Yield every state that can follow."""
    for place in EVERYBODY:
        if node.down[place]:
            frame, *rest = node.down[place]
            yield _to_party(sums, node._replace(down=_put(node.down, place, tuple(rest))), place, frame)
        if node.up[place]:
            frame, *rest = node.up[place]
            yield _to_aggregator(sums, node._replace(up=_put(node.up, place, tuple(rest))), place, frame)
    at = sums.aggregators.values[node.aggregator]
    if node.dead >= 0:
        place = node.dead
        attended = (OFFER, *at.told[place])
        yield node._replace(dead=-1, down=_put(node.down, place, attended), up=_put(node.up, place, ()))
    if node.recalls and (found := sums.recalled(node.aggregator)) is not None:
        number, out = found
        yield _sent(node._replace(aggregator=number, stored=number, recalls=node.recalls - 1), out)
    if node.crashes:
        yield from _crashed(sums, node)
    if node.duplicates:
        yield from _again(sums, node._replace(duplicates=node.duplicates - 1), at)


def _crashed(sums: Sums, node: Node) -> Iterator[Node]:
    left = node._replace(crashes=node.crashes - 1)
    for place in EVERYBODY:
        yield left._replace(dead=place, down=_put(node.down, place, ()), up=_put(node.up, place, ()))
    told = sums.aggregators.values[node.stored].told
    down = tuple((OFFER, *told[place]) for place in EVERYBODY)
    yield left._replace(aggregator=node.stored, up=((),) * PARTIES, down=down)


def _again(sums: Sums, node: Node, at: Aggregator) -> Iterator[Node]:
    for place in EVERYBODY:
        if place == node.dead:
            continue
        for frame in {OFFER, *at.ever[place]}.difference(node.down[place]):
            yield _to_party(sums, node, place, frame)
        for frame in set(sums.parties.values[node.parties[place]].ever).difference(node.up[place]):
            yield _to_aggregator(sums, node, place, frame)


def _to_party(sums: Sums, node: Node, place: int, frame: int) -> Node:
    number, out = sums.party_gets(node.parties[place], frame)
    return node._replace(
        parties=_put(node.parties, place, number), up=_put(node.up, place, node.up[place] + out) if out else node.up
    )


def _to_aggregator(sums: Sums, node: Node, place: int, frame: int) -> Node:
    number, out = sums.aggregator_gets(node.aggregator, place, frame)
    if not out:
        return node if number == node.aggregator else node._replace(aggregator=number)
    return _sent(node._replace(aggregator=number, stored=number), out)


def _sent(node: Node, out: tuple[tuple[int, int], ...]) -> Node:
    down = list(node.down)
    for place, frame in out:
        if place != node.dead:
            down[place] += (frame,)
    return node._replace(down=tuple(down))


def _put(values: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    return (*values[:place], value, *values[place + 1 :])


def ending(sums: Sums, node: Node) -> str:
    """Say what a state is in which nothing is on its way. Raises Wrong if it hangs."""
    at = sums.aggregators.values[node.aggregator]
    totals = [sums.parties.values[number].total for number in node.parties]
    missing = [place for place in EVERYBODY if totals[place] is None]
    if at.total is not None and not missing:
        return "released by all"
    if node.dead < 0:
        raise Wrong(f"nobody is down and party {missing} hangs, the aggregator awaits {at.state.awaits}")
    if at.total is not None:
        if missing != [node.dead]:
            raise Wrong(f"party {missing} hangs although the total is open")
        return "released by all but the one who is down"
    waits = set(at.state.awaits.of) - {one.message.sender for one in at.words}
    if waits - {at.state.setup.parties[node.dead]}:
        raise Wrong(f"the aggregator waits for {waits}, of whom somebody is here")
    return "paused for the one who is down"


def rank(sums: Sums, node: Node) -> tuple[int, ...]:
    """What every step makes smaller, so that nothing goes round for ever."""
    at = sums.aggregators.values[node.aggregator]
    done = 100 * at.attempt + len(getattr(at.state, "said", ())) + len(at.words) + at.recalled
    for number in node.parties:
        party = sums.parties.values[number]
        done += 100 * party.attempt + len(party.events) + (party.total is not None)
    lines = (*node.up, *node.down)
    faults = node.crashes + node.duplicates + node.recalls
    offers = sum(line.count(OFFER) for line in lines)
    return faults, int(node.dead >= 0), -done, offers, sum(map(len, lines))


def explored(sums: Sums, start: Node) -> tuple[int, int, Counter[str]]:
    """Visit every state that can be reached; return how many, by how many steps, and how they end. Raises Wrong."""
    seen = {start}
    front = [start]
    steps = 0
    endings: Counter[str] = Counter()
    while front:
        node = front.pop()
        before = rank(sums, node)
        alive = False
        for reached in following(sums, node):
            steps += 1
            alive = True
            if not rank(sums, reached) < before:
                raise Wrong("a step that leads nowhere can be made for ever")
            after = settled(sums, reached)
            if after not in seen:
                seen.add(after)
                front.append(after)
        quiet = not any(node.up) and not any(node.down)
        if quiet:
            endings[ending(sums, node)] += 1
        elif not alive:
            raise Wrong("a frame is on its way and nobody takes it")
    return len(seen), steps, endings

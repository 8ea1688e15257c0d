"""Ten thousand spoiled messages into live machines in every state: each ends typed and named, none is a crash.

`p2` signs what it likes and the coordinator forwards what it likes, of this sum, of an earlier job and of another
attempt. Whatever they send is no message, is refused in the name of one of the two, is ignored, or is taken: and what
is taken never makes an honest party answer for another product or release another total.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from federation.crypto.paillier import ciphertexts
from federation.errors import Misuse, ProtocolViolation
from federation.protocols import bundles, paillier_sum
from federation.protocols.events import Abort, Delivered, Message, Parcel, Received, Release, Send
from federation.protocols.paillier_sum import checks, party
from federation.protocols.paillier_sum.messages import Cipher, Partial
from federation.protocols.setup import root_of
from federation.protocols.withdrawal import Withdrawal
from federation.wire.convert import BODIES, Malformed
from tests.attacks.masked_sum.judging import refuses, site_of
from tests.attacks.paillier.malice import proof_of
from tests.protocols.cohort import COORDINATOR, attested, names
from tests.protocols.paillier_sum.holders import Holders, Machine, told

MESSAGES = 10_000
CHEAT = "p2"
GUILTY = {CHEAT, COORDINATOR, "the coordinator", "mallory"}
ENDINGS = ("no message", "refused", "ignored", "taken")
MACHINES = ("aggregator", "checking", "checks", "party")
OUT_OF_REACH = {
    "aggregator._accepted",  # the last case of a match
    "aggregator.step",  # an event of the driver's
    "party.step",  # the same, but for bundles before the beginning
}
VECTORS = {p: [place + 1, -1, 10**place] for place, p in enumerate(names(3))}
Way = Callable[[list[Parcel], Random], list[Parcel]]


@dataclass(frozen=True)
class Moment:
    """A machine on the point of receiving something, and what an honest line would bring."""

    name: str
    machine: Machine
    bundle: tuple[Parcel, ...]


@dataclass(frozen=True)
class Story:
    """A whole honest sum."""

    moments: tuple[Moment, ...]
    said: tuple[Parcel, ...]
    product: tuple[int, ...]
    total: bytes


def played(vectors: dict[str, list[int]], **changes: Any) -> Story:
    """A sum, with a note of every machine before every message."""
    holders = Holders(3, 3, value_bits=64, **changes)
    moments: list[Moment] = []
    said: list[Parcel] = []

    def receive(parcel: Parcel) -> None:
        machine = holders.aggregator.branch()
        said.append(parcel)
        of_cheat = [one for one in said if one.message.sender == CHEAT]  # what it says now, or has said already
        if of_cheat:
            moments.append(Moment(f"aggregator {type(machine.state).__name__}", machine, (of_cheat[-1],)))
        holders.receive(Received(parcel=parcel))

    def deliver(p: str) -> Parcel | None:
        machine = holders.parties[p].branch()
        if p != CHEAT:
            moments.append(Moment(f"party {type(machine.state).__name__}", machine, holders.waiting()))
        return holders.deliver(p)

    for p in (CHEAT, "p0", "p1"):
        receive(holders.begin(p))
    ready = holders.waiting()
    for p in names(3):
        deliver(p)
    moments.append(Moment("party Joined", holders.parties["p0"].branch(), ready))
    for p in (CHEAT, "p0", "p1"):
        receive(holders.contribute(p, vectors[p]))
    product: tuple[int, ...] = ()
    for p in ("p0", "p1", CHEAT):
        answer = deliver(p)
        assert answer is not None
        state = holders.parties[p].state
        assert isinstance(state, party.Answered)
        product = state.sums.product
        receive(answer)
    last = holders.waiting()
    for p in names(3):
        deliver(p)
    for p in ("p0", "p1"):
        moments.append(Moment("party Done", holders.parties[p].branch(), last))
        moments.append(Moment("party Idle", Machine(state=holders.parties[p].start, party=p), last))
    moments.append(Moment("aggregator Finished", holders.aggregator.branch(), (said[-1],)))
    return Story(tuple(moments), tuple(said), product, holders.aggregator.released[0].total)


@cache
def stories() -> dict[str, Story]:
    """This sum, twice with other numbers of the cheat's, and sums that its messages are replayed from."""
    return {
        "this": played(VECTORS),
        "twin": played({**VECTORS, CHEAT: [5, 5, 5]}),
        "earlier job": played(VECTORS, job_hash=b"e" * 32),
        "other attempt": played(VECTORS, attempt=1),
        "other round": played(VECTORS, transcript=b"u" * 32),
    }


@cache
def replayable() -> tuple[Parcel, ...]:
    return tuple(parcel for story in stories().values() for parcel in story.said)


@cache
def values_of_fields() -> dict[str, list[object]]:
    """What every field of every message was in any sum."""
    found: dict[str, list[object]] = {}
    for parcel in replayable():
        for one in fields(parcel.message.value):  # type: ignore[arg-type]
            found.setdefault(one.name, []).append(getattr(parcel.message.value, one.name))
    return found


# --- what the cheat signs, and what the relay does ------------------------------------------------------------------


def spoiled_chunks(chunks: Sequence[bytes], draw: Random) -> tuple[bytes, ...]:
    data = bytearray(b"".join(chunks))
    match draw.randrange(7):
        case 0 if data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        case 1:
            data = data[: -draw.choice((1, 128))]
        case 2:
            data += bytes(draw.choice((1, 128)))
        case 3:
            at = 128 * draw.randrange(max(1, len(data) // 128))
            data[at : at + 128] = draw.choice((bytes(128), b"\xff" * 128, bytes(127) + b"\1"))
        case 4:
            return (bytes(data[:5]), bytes(data[5:]))
        case 5:
            return ()
        case _:
            data = bytearray(b"".join(draw.choice(replayable()).chunks))
    return (bytes(data),)


def spoiled_value(value: Message, draw: Random) -> Message:
    """The message with a field of another one, or with bytes that fell over on the way to its signature."""
    if draw.random() < 0.5:
        name = draw.choice([one.name for one in fields(value)])  # type: ignore[arg-type]
        return replace(value, **{name: draw.choice(values_of_fields()[name])})  # type: ignore[type-var]
    body = bytearray(BODIES[value.domain].encode(value))
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.randrange(len(body))
        match draw.randrange(3):
            case 0:
                body[at] = draw.randrange(256)
            case 1:
                del body[at]
            case _:
                body.insert(at, draw.randrange(256))
    kind = draw.choice([type(value).domain] * 2 + [kind.domain for kind in paillier_sum.PaillierSum.messages])
    return BODIES[kind].decode(bytes(body))  # type: ignore[return-value]


def of_the_cheat(bundle: list[Parcel], draw: Random) -> list[Parcel]:
    """The cheat signs something else."""
    for place, parcel in enumerate(bundle):
        if parcel.message.sender == CHEAT:
            match draw.randrange(5):
                case 4:
                    word = Withdrawal(setup_hash=bytes(32), party=CHEAT)
                    bundle[place] = Parcel(message=attested(word))
                case 0:
                    value = spoiled_value(parcel.message.value, draw)
                    bundle[place] = Parcel(message=attested(value, sender=CHEAT), chunks=parcel.chunks)
                case 1 if hasattr(parcel.message.value, "chunk_root"):
                    chunks = spoiled_chunks(parcel.chunks, draw)
                    bundle[place] = told(parcel, chunks=chunks, chunk_root=root_of(chunks))
                case 2 if isinstance(parcel.message.value, Cipher | Partial):
                    proof = bytearray(proof_of(parcel))
                    proof[draw.randrange(len(proof))] ^= 1 << draw.randrange(8)
                    bundle[place] = told(parcel, proof=bytes(proof))
                case _:
                    other = draw.choice([p for p in replayable() if p.message.sender == CHEAT])
                    bundle[place] = other
    return bundle


def of_the_relay(bundle: list[Parcel], draw: Random) -> list[Parcel]:
    """The relay forwards something else, but signs for no party."""
    place = draw.randrange(len(bundle)) if bundle else 0
    match draw.randrange(7):
        case 0 if bundle:
            del bundle[place]
        case 1 if bundle:
            bundle.append(bundle[place])
        case 2 if bundle:
            bundle[place] = replace(bundle[place], chunks=spoiled_chunks(bundle[place].chunks, draw))
        case 3 if bundle:
            sender = bundle[place].message.sender
            bundle[place] = draw.choice([p for p in replayable() if p.message.sender == sender] or bundle)
        case 4:
            bundle.insert(place, draw.choice(replayable()))
        case 5:
            stranger = draw.choice(replayable()).message
            bundle.append(Parcel(message=replace(stranger, sender="mallory")))
        case _:
            draw.shuffle(bundle)
    return bundle


# --- the judge --------------------------------------------------------------------------------------------------------


@dataclass
class Judge:
    """Gives messages to machines, counts how they end, and knows what must never happen."""

    endings: Counter[tuple[str, str]] = field(default_factory=Counter)
    sites: Counter[tuple[str, int]] = field(default_factory=Counter)
    released: int = 0

    def give(self, moment: Moment, event: Received | Delivered) -> str:
        machine = moment.machine
        try:
            after = machine.step(machine.state, event)
        except ProtocolViolation as fault:
            assert fault.party in GUILTY, f"{fault.party} is blamed: {fault.message}"
            assert fault.phase
            assert fault.expected
            assert fault.got
            self.sites[site_of(fault)] += 1
            return "refused"
        if after.state is machine.state and not after.effects:
            return "ignored"
        self._harmless(machine, after.state, after.effects)
        return "taken"

    def _harmless(self, machine: Machine, state: object, effects: Sequence[object]) -> None:
        ours = [stories()[name] for name in ("this", "twin")]
        for effect in effects:
            match effect:
                case Abort():
                    raise AssertionError("a sum that ends with nobody to blame")
                case Release():
                    self.released += 1
                    assert effect.total in {story.total for story in ours}, "another total"
                    assert effect.parties == names(3)
                case Send(message=Partial()):
                    assert isinstance(state, party.Answered)
                    assert isinstance(machine.state, party.Encrypted), "a second answer"
                    assert state.sums.product in {story.product for story in ours}, "an answer for another product"


@cache
def targets() -> dict[str, list[Moment]]:
    found: dict[str, list[Moment]] = {}
    for story in (stories()["this"], stories()["twin"]):
        for moment in story.moments:
            found.setdefault(moment.name, []).append(moment)
    return found


def fuzzed(count: int, seed: int = 1) -> Judge:
    """Give `count` spoiled messages to machines in every state."""
    draw, judge, found = Random(seed), Judge(), targets()
    for number in range(count):
        name = sorted(found)[number % len(found)]
        moment = draw.choice(found[name])
        bundle = list(moment.bundle)
        try:
            for _ in range(draw.choice((1, 1, 1, 2, 3))):
                way: Way = of_the_cheat if name.startswith("aggregator") or draw.random() < 0.5 else of_the_relay
                bundle = way(bundle, draw)
        except Malformed:
            judge.endings[name, "no message"] += 1
            continue
        event: Received | Delivered = Delivered(parcels=tuple(bundle))
        if name.startswith("aggregator"):
            parcel = bundle[0]
            if draw.random() < 0.05:
                parcel = replace(parcel, message=replace(parcel.message, sender="mallory"))
            event = Received(parcel=parcel)
        judge.endings[name, judge.give(moment, event)] += 1
    return judge


def unreached(judge: Judge) -> list[str]:
    """Where the machines refuse something and this judge never saw it: module and function."""
    room = Path(paillier_sum.__file__)
    files = [room.with_name(f"{name}.py") for name in MACHINES] + [Path(bundles.__file__)]
    found = []
    for path in files:
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and refuses(node.exc):
                        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                        if not any(judge.sites[path.stem, line] for line in lines):
                            found.append(f"{path.stem}.{function.name}")
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)  # 15 s of one core; a busy machine takes its time
def test_ten_thousand_spoiled_messages_end_typed_and_named() -> None:
    judge = fuzzed(MESSAGES)
    for name in sorted(targets()):
        print(f"{name:24}" + "".join(f"{ending}: {judge.endings[name, ending]:>6}  " for ending in ENDINGS))
    assert sum(judge.endings.values()) == MESSAGES
    assert len(targets()) == 10, "every state that a message can come to"
    for name in targets():
        assert judge.endings[name, "refused"] + judge.endings[name, "ignored"] >= 500, name
    for ending in ENDINGS:
        assert sum(count for (_, end), count in judge.endings.items() if end == ending) >= 100, ending
    never = set(unreached(judge)) - OUT_OF_REACH
    assert not never, f"refusals that no spoiled message reached: {never}"
    assert judge.released >= 20, "true totals are released all the same"


def plant_no_knowledge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks whether a sender knows what is in its ciphertexts."""
    monkeypatch.setattr(checks, "known", lambda *_: None)


def plant_any_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers need no proof."""
    monkeypatch.setattr(checks, "unproved", lambda *_: None)


def plant_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no ciphertext fails as programs fail, and not as checks do."""

    def crash(_n: int, data: bytes) -> list[int]:
        numbers = [int.from_bytes(data[at : at + 128], "big") for at in range(0, len(data), 128)]
        return [number // (number != 0) for number in numbers]

    monkeypatch.setattr(ciphertexts, "from_bytes", crash)


def plant_any_number_of_parties(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of messages is enough in a bundle."""
    honest = bundles.one_each
    monkeypatch.setattr(
        bundles, "one_each", lambda setup, parcels, relay, phase, _: honest(setup, parcels, relay, phase, 0)
    )


def plant_a_wrong_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes first in the alphabet is blamed for answers that do not hold."""

    def careless(*_: object) -> None:
        raise ProtocolViolation("p0", phase="partial", expected="answers", got="others")

    monkeypatch.setattr(checks, "unproved", careless)


@pytest.mark.parametrize(
    "plant",
    [
        plant_no_knowledge,
        plant_any_answer,
        plant_a_crash,
        plant_any_number_of_parties,
        plant_a_wrong_name,
    ],
)
def test_a_check_that_lets_something_through_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert targets()
    assert values_of_fields()
    plant(monkeypatch)
    with pytest.raises((AssertionError, ZeroDivisionError, Misuse)):
        fuzzed(MESSAGES // 2)

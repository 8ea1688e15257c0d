"""The attack list on every message of a masked sum: one file is one attack, its name says which.

`p1` is the party that checks, `p2` the one that cheats, `relay` the coordinator; both roles must name the culprit.
`changes` are what a party says and signs, the aggregator judges it; `relay` is what the coordinator makes of the bundle
afterwards, for the party to judge. Where a role is null, that step does not show it the lie.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from federation.crypto.agreement import PRIME
from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import CHUNK_BYTES
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols.events import Delivered, Message, Parcel, Received, Withdraw
from federation.protocols.masked_sum import MaskedSum
from federation.protocols.masked_sum.messages import Advert, Shares
from federation.protocols.setup import Check
from tests.protocols.cohort import COORDINATOR, PHASES, Cohort, Machine, attested, names, parcel

FOLDER = Path(__file__).parent.parent / "vectors" / "masked_sum"
VECTORS = sorted(FOLDER.glob("*/*.json"))
Bundle = list[Parcel]
Change = dict[str, Any]


# --- changes ---------------------------------------------------------------------------------------------------------


def at(bundle: Bundle, sender: str) -> int:
    """Where the last parcel of this sender is."""
    return max(i for i, item in enumerate(bundle) if item.message.sender == sender)


def key_of(bundle: Bundle, sender: str) -> bytes:
    value = bundle[at(bundle, sender)].message.value
    assert isinstance(value, Advert)
    return value.mask_pk


def value_of(change: Change, bundle: Bundle) -> bytes | str | int | tuple[int, ...]:
    """The new value of a signed field."""
    match change:
        case {"hex": digits}:
            return bytes.fromhex(digits)
        case {"text": text}:
            return str(text)
        case {"number": number}:
            return int(number)
        case {"numbers": found}:
            return tuple(found)
        case {"copy": other}:
            return key_of(bundle, other)
        case {"alias": other}:
            return pow(int.from_bytes(key_of(bundle, other), "little"), -1, PRIME).to_bytes(32, "little")
        case {"top_bit": other}:
            key = key_of(bundle, other)
            return key[:31] + bytes([key[31] | 0x80])
        case _:
            raise ValueError(change)


def signed(bundle: Bundle, i: int, **changed: Any) -> None:
    """Let the sender of a parcel sign other fields."""
    value = replace(bundle[i].message.value, **changed)  # type: ignore[type-var]
    bundle[i] = replace(bundle[i], message=attested(value, sender=bundle[i].message.sender))


def set_field(bundle: Bundle, i: int, change: Change) -> None:
    signed(bundle, i, **{change["name"]: value_of(change, bundle)})


def set_item(bundle: Bundle, i: int, change: Change) -> None:
    """Change one of several shares, seeds or keys."""
    name = change["name"]
    items = list(getattr(bundle[i].message.value, name))
    match change:
        case {"do": "set", "at": place, "like": other}:
            items[place] = getattr(bundle[at(bundle, other)].message.value, name)[place]
        case {"do": "set", "at": place, "hex": digits}:
            items[place] = bytes.fromhex(digits)
        case {"do": "add", "hex": digits}:
            items.append(bytes.fromhex(digits))
        case {"do": "drop", "at": place}:
            del items[place]
        case {"do": "double"}:
            items.append(items[0])
        case {"do": "swap"}:
            items[0], items[1] = items[1], items[0]
        case _:
            raise ValueError(change)
    signed(bundle, i, **{name: tuple(items)})


def chunked(edit: Callable[[list[bytes], Change, Bundle], list[bytes] | None]) -> Callable[[Bundle, int, Change], None]:
    """An operation on the chunks of one parcel."""

    def apply(bundle: Bundle, i: int, change: Change) -> None:
        chunks = list(bundle[i].chunks)
        made = edit(chunks, change, bundle)
        bundle[i] = replace(bundle[i], chunks=tuple(chunks if made is None else made))

    return apply


def set_chunks(_chunks: list[bytes], change: Change, bundle: Bundle) -> list[bytes]:
    return list(bundle[at(bundle, change["copy"])].chunks) if "copy" in change else [*map(bytes.fromhex, change["hex"])]


def flip(chunks: list[bytes], change: Change, _bundle: Bundle) -> None:
    chunk = bytearray(chunks[change["chunk"]])
    chunk[change["byte"]] ^= 1 << change["bit"]
    chunks[change["chunk"]] = bytes(chunk)


def cut(chunks: list[bytes], change: Change, _bundle: Bundle) -> None:
    chunks[change["chunk"]] = chunks[change["chunk"]][: -change["bytes"]]


def take_chunk(chunks: list[bytes], change: Change, bundle: Bundle) -> None:
    chunks[change["chunk"]] = bundle[at(bundle, change["from"])].chunks[change["its"]]


def reroot(bundle: Bundle, i: int, _change: Change) -> None:
    of_boxes = isinstance(bundle[i].message.value, Shares)
    name, leaf = ("boxes_root", merkle.leaf_hash) if of_boxes else ("chunk_root", chunk_hash)
    signed(bundle, i, **{name: merkle.root([leaf(chunk) for chunk in bundle[i].chunks])})


def recut(bundle: Bundle, i: int, change: Change) -> None:
    chunk = bundle[i].chunks[0]
    bundle[i] = replace(bundle[i], chunks=(chunk[:16], chunk[16:]))
    reroot(bundle, i, change)


def swap(bundle: Bundle, i: int, change: Change) -> None:
    j = at(bundle, change["with"])
    bundle[i], bundle[j] = replace(bundle[i], chunks=bundle[j].chunks), replace(bundle[j], chunks=bundle[i].chunks)


def other_kind(bundle: Bundle, i: int, _change: Change) -> None:
    """A message of another kind, soundly signed by the same party."""
    sender = bundle[i].message.sender
    kind = Shares if isinstance(bundle[i].message.value, Advert) else Advert
    wrong: Message = kind(**{one.name: sender if one.name == "party" else b"x" * 32 for one in fields(kind)})  # type: ignore[arg-type]
    bundle[i] = Parcel(message=attested(wrong))


def box_of(bundle: Bundle, i: int, change: Change) -> None:
    """The dealer's box for another one, with the path to it."""
    dealer = bundle[i].message.sender
    bundle[i] = boxed(SENT[dealer], change["for"], dealer)


SENT: dict[str, Parcel] = {}  # by each dealer: the shares with all boxes, of the vector that is being tried

OPERATIONS: dict[str, Callable[[Bundle, int, Change], None]] = {
    "field": set_field,
    "item": set_item,
    "chunks": chunked(set_chunks),
    "flip": chunked(flip),
    "cut": chunked(cut),
    "chunk": chunked(take_chunk),
    "swap_chunks": chunked(lambda chunks, _change, _bundle: [chunks[-1], *chunks[1:-1], chunks[0]]),
    "drop_chunk": chunked(lambda chunks, change, _bundle: chunks.__delitem__(change["chunk"])),
    "add_chunk": chunked(lambda chunks, change, _bundle: [*chunks, bytes.fromhex(change["hex"])]),
    "keep_chunks": chunked(lambda chunks, change, _bundle: chunks[: change["count"]]),
    "box_of": box_of,
    "recut": recut,
    "reroot": reroot,
    "swap": swap,
    "other_kind": other_kind,
    "drop": lambda bundle, i, _: bundle.__delitem__(i),
    "double": lambda bundle, i, _: bundle.append(bundle[i]),
    "sender": lambda bundle, i, change: bundle.__setitem__(
        i, replace(bundle[i], message=replace(bundle[i].message, sender=change["name"]))
    ),
}


def apply(changes: list[Change], bundle: Bundle) -> Bundle:
    bundle = list(bundle)
    for change in changes:
        OPERATIONS[change["op"]](bundle, at(bundle, change["of"]), change)
    return bundle


# --- stages: a cohort at the step before each kind of message --------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """A cohort, and what honest parties are about to say in it."""

    cohort: Cohort
    said: Bundle
    forwarded: Bundle  # what the coordinator says besides


def before(phase: str, n: int, lost: str = "", **changes: Any) -> tuple[Cohort, list[str]]:
    """A cohort before `phase`, in which one party is lost before its head."""
    cohort = Cohort(n, **{"length": 2, **changes})
    there = [party for party in names(n) if party != lost]
    vectors = {party: [1] * cohort.spec.length for party in names(n)}
    for earlier in PHASES[: PHASES.index(phase)]:
        cohort.take(earlier, names(n) if earlier in PHASES[:2] else there, vectors)
    return cohort, there


@cache
def stage_of(kind: str) -> Stage:
    four_chunks = {"length": 4 * CHUNK_BYTES // 8, "check": Check.SAMPLE, "ring": "z2^64"}
    match kind:
        case "adverts":
            cohort, there = before("advert", 3)
            return Stage(cohort, [cohort.begin(party) for party in there], [])
        case "shares":
            cohort, there = before("shares", 3)
            return Stage(cohort, [item for party in there for item in cohort.deliver(party)], [])
        case "heads":
            cohort, there = before("head", 3)
            cohort.exchange()
            return Stage(cohort, [cohort.contribute(party, [1, -1]) for party in there], [])
        case "consents" | "unmasks":
            cohort, there = before("consent" if kind == "consents" else "unmask", 4, "" if kind == "consents" else "p3")
            return Stage(cohort, [item for party in there for item in cohort.deliver(party)], [])
        case "openings":
            cohort, there = before("result", 4, "p3")
            return Stage(cohort, [], list(cohort.inbox["p1"][-1]))
        case "challenges" | "samples":
            cohort, _ = before("result", 3, **four_chunks)
            asked = {party: cohort.deliver(party)[0] for party in names(3)}
            if kind == "challenges":
                return Stage(cohort, [asked["p2"]], [])
            cohort.receive(Received(parcel=asked["p1"]))
            return Stage(cohort, [], list(cohort.inbox["p1"].pop()))
        case "withdrawals":
            cohort, _ = before("consent", 3)
            (send,) = cohort.parties["p2"].branch().give(Withdraw())
            return Stage(cohort, [parcel(send)], [])  # type: ignore[arg-type]
        case _:
            raise ValueError(kind)


def boxed(of_dealer: Parcel, target: str, dealer: str) -> Parcel:
    """What `target` is to get of a dealer's shares: its box and the path; no check of anything."""
    holders = [party for party in names(3) if party != dealer]
    if target not in holders or len(of_dealer.chunks) <= holders.index(target):
        return replace(of_dealer, chunks=())
    place = holders.index(target)
    leaves = [merkle.leaf_hash(box) for box in of_dealer.chunks]
    return replace(of_dealer, chunks=(of_dealer.chunks[place], *merkle.inclusion(leaves, place)))


def bundled(kind: str, said: Bundle) -> Bundle:
    """The bundle that a relay who checks nothing makes for p1 of what parties say."""
    if kind == "shares":
        SENT.update({item.message.sender: item for item in said})
        return [boxed(item, "p1", item.message.sender) for item in said]
    return [replace(item, chunks=()) for item in said] if kind == "heads" else said


@dataclass(frozen=True)
class Attack:
    """A vector, played as far as the message that it is about."""

    want: dict[str, Any]
    kind: str
    cohort: Cohort
    said: Bundle
    honest: Bundle
    bundle: Bundle


def attack(path: Path) -> Attack:
    vector, kind = json.loads(path.read_text()), path.parent.name
    stage = stage_of(kind)
    said = apply(vector["changes"], stage.said)
    honest = stage.forwarded or bundled(kind, stage.said)
    bundle = apply(vector.get("relay", []), stage.forwarded or bundled(kind, said))
    return Attack(vector["want_error"], kind, stage.cohort.branch(), said, honest, bundle)


def give_party(played: Attack, bundle: Bundle) -> None:
    if played.kind == "withdrawals":
        for item in bundle:
            MaskedSum.check_withdrawal(played.cohort.setup, item, COORDINATOR)
    else:
        played.cohort.parties["p1"].give(Delivered(parcels=tuple(bundle)))


def give_aggregator(played: Attack) -> None:
    if played.kind == "withdrawals":
        for item in played.said:
            MaskedSum.check_withdrawal(played.cohort.setup, item, item.message.sender)
        return
    for item in played.said:
        played.cohort.receive(Received(parcel=item))
    played.cohort.late()


def ids(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def seen_by(role: str) -> list[Path]:
    return [path for path in VECTORS if json.loads(path.read_text())["want_error"][role]]


@pytest.mark.parametrize("path", seen_by("party"), ids=ids)
def test_a_party_names_the_culprit(path: Path) -> None:
    played = attack(path)
    culprit, got = played.want["party"]
    victim = played.cohort.parties["p1"]
    state = victim.state
    with pytest.raises(ProtocolViolation) as caught:
        give_party(played, played.bundle)
    assert caught.value.party == culprit
    assert got in caught.value.got
    assert victim.state == state
    assert not victim.released


@pytest.mark.parametrize("path", seen_by("aggregator"), ids=ids)
def test_the_aggregator_names_the_sender(path: Path) -> None:
    played = attack(path)
    culprit, got = played.want["aggregator"]
    with pytest.raises(ProtocolViolation) as caught:
        give_aggregator(played)
    assert caught.value.party == culprit
    assert got in caught.value.got
    assert played.kind == "challenges" or not played.cohort.aggregator.released


@pytest.mark.parametrize("path", VECTORS, ids=ids)
def test_the_honest_words_pass_where_the_attack_does_not(path: Path) -> None:
    played = attack(path)
    stage = stage_of(played.kind)
    assert (played.said, played.bundle) != (stage.said, played.honest)
    if played.want["party"]:
        give_party(played, played.honest)
    if played.want["aggregator"]:
        give_aggregator(replace(played, cohort=stage.cohort.branch(), said=stage.said))
    assert played.want["party"] or played.want["aggregator"], "somebody sees it"


def test_no_error_quotes_bytes_of_a_message() -> None:
    for path in VECTORS:
        played = attack(path)
        for role, act in (("party", lambda p: give_party(p, p.bundle)), ("aggregator", give_aggregator)):
            if not played.want[role]:
                continue
            with pytest.raises(ProtocolViolation) as caught:
                act(played)
            text = str(caught.value)
            assert "\\x" not in text
            for item in (*played.said, *played.bundle):
                value = item.message.value
                spoken = [getattr(value, one.name) for one in fields(value)]  # type: ignore[arg-type]
                assert not any(part.hex() in text for part in spoken if isinstance(part, bytes) and len(part) > 2)


def test_every_message_of_the_protocol_has_its_attacks() -> None:
    kinds = {"Advert", "Shares", "Head", "Consent", "Unmask", "Opening", "Challenge", "Withdrawal"}
    assert {kind.__name__ for kind in MaskedSum.messages} == kinds
    counts = {folder.name: len(list(folder.glob("*.json"))) for folder in FOLDER.iterdir()}
    assert set(counts) == {"adverts", "shares", "heads", "consents", "unmasks", "openings", "challenges", "samples"} | {
        "withdrawals"
    }
    assert all(count >= 5 for count in counts.values()), counts


def test_a_bundle_in_the_wrong_state_blames_the_relay() -> None:
    cohort = Cohort(3)
    bundle = cohort.adverts()
    idle = Machine(state=Cohort(3).parties["p0"].state, party="p0")
    with pytest.raises(ProtocolViolation, match="Delivered in state Idle"):
        idle.give(Delivered(parcels=bundle))


STEPS = ("adverts", "shares", "heads", "consents")


@pytest.mark.parametrize(("due", "early"), list(combinations(STEPS, 2)))
def test_a_bundle_before_its_time_blames_the_relay(due: str, early: str) -> None:
    machine = stage_of(due).cohort.branch().parties["p1"]
    with pytest.raises(ProtocolViolation) as caught:
        machine.give(Delivered(parcels=tuple(bundled(early, stage_of(early).said))))
    assert caught.value.party == COORDINATOR

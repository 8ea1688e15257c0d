"""The attack list on every message of a sum under a joint key: one file is one attack, its name says which.

`p1` is the party that checks, `p2` the one that cheats, `relay` the coordinator; both roles must name the culprit.
`changes` are what a party says and signs, the aggregator judges it; `relay` is what the coordinator makes of the bundle
afterwards, for the party to judge. Where a role is null, that step does not show it the lie.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from federation.errors import ProtocolViolation
from federation.protocols.events import Delivered, Parcel, Received, Withdraw
from federation.protocols.paillier_sum import PaillierSum
from federation.protocols.paillier_sum.messages import Ready
from federation.protocols.setup import root_of
from federation.protocols.withdrawal import Withdrawal
from tests.protocols.cohort import COORDINATOR, attested, names, parcel
from tests.protocols.paillier_sum.holders import Holders, key_of

FOLDER = Path(__file__).parent.parent.parent / "vectors" / "paillier_sum"
VECTORS = sorted(FOLDER.glob("*/*.json"))
WIDTH = 128  # bytes of a ciphertext under a key of 512 bits
Bundle = list[Parcel]
Change = dict[str, Any]


# --- changes ---------------------------------------------------------------------------------------------------------


def at(bundle: Bundle, sender: str) -> int:
    """Where the last parcel of this sender is."""
    return max(i for i, item in enumerate(bundle) if item.message.sender == sender)


def signed(bundle: Bundle, i: int, **changed: Any) -> None:
    """Let the sender of a parcel sign other fields."""
    value = replace(bundle[i].message.value, **changed)  # type: ignore[type-var]
    bundle[i] = replace(bundle[i], message=attested(value, sender=bundle[i].message.sender))


def set_field(bundle: Bundle, i: int, change: Change) -> None:
    name = change["name"]
    match change:
        case {"hex": digits}:
            value: object = bytes.fromhex(digits)
        case {"text": value} | {"number": value}:
            pass
        case {"like": other}:
            value = getattr(bundle[at(bundle, other)].message.value, name)
        case {"fill": digits}:
            value = bytes.fromhex(digits) * len(getattr(bundle[i].message.value, name))
        case _:
            raise ValueError(change)
    signed(bundle, i, **{name: value})


def chunked(edit: Callable[[list[bytes], Change, Bundle], list[bytes]]) -> Callable[[Bundle, int, Change], None]:
    """An operation on the chunks of one parcel."""

    def apply(bundle: Bundle, i: int, change: Change) -> None:
        bundle[i] = replace(bundle[i], chunks=tuple(edit(list(bundle[i].chunks), change, bundle)))

    return apply


def flip(chunks: list[bytes], change: Change, _bundle: Bundle) -> list[bytes]:
    chunk = bytearray(chunks[change["chunk"]])
    chunk[change["byte"]] ^= 1 << change["bit"]
    chunks[change["chunk"]] = bytes(chunk)
    return chunks


def cut(chunks: list[bytes], change: Change, _bundle: Bundle) -> list[bytes]:
    chunks[change["chunk"]] = chunks[change["chunk"]][: -change["bytes"]]
    return chunks


def number(chunks: list[bytes], change: Change, _bundle: Bundle) -> list[bytes]:
    n = key_of(3)[0].public.n
    value = {"n": n, "n^2": n**2, "n^2-1": n**2 - 1, "n^2+7": n**2 + 7, "1+5n": 1 + 5 * n, "1+n": 1 + n}.get(
        change["value"], (1 << 1024) - 1 if change["value"] == "2^1024-1" else None
    )
    start = WIDTH * change["at"]
    put = (int(change["value"]) if value is None else value).to_bytes(WIDTH, "big")
    return [chunks[0][:start] + put + chunks[0][start + WIDTH :]]


def shift(chunks: list[bytes], change: Change, _bundle: Bundle) -> list[bytes]:
    """Multiply a number by 1 + n."""
    n, start = key_of(3)[0].public.n, WIDTH * change["at"]
    shifted = int.from_bytes(chunks[0][start : start + WIDTH], "big") * (1 + n) % n**2
    return [chunks[0][:start] + shifted.to_bytes(WIDTH, "big") + chunks[0][start + WIDTH :]]


def reroot(bundle: Bundle, i: int, _change: Change) -> None:
    signed(bundle, i, chunk_root=root_of(bundle[i].chunks))


def recut(bundle: Bundle, i: int, change: Change) -> None:
    (chunk,) = bundle[i].chunks
    bundle[i] = replace(bundle[i], chunks=(chunk[:WIDTH], chunk[WIDTH:]))
    reroot(bundle, i, change)


def swap(bundle: Bundle, i: int, change: Change) -> None:
    j = at(bundle, change["with"])
    bundle[i], bundle[j] = replace(bundle[i], chunks=bundle[j].chunks), replace(bundle[j], chunks=bundle[i].chunks)


def other_kind(bundle: Bundle, i: int, _change: Change) -> None:
    """A message of another kind, soundly signed by the same party."""
    sender = bundle[i].message.sender
    kind = Ready if isinstance(bundle[i].message.value, Withdrawal) else Withdrawal
    bundle[i] = Parcel(message=attested(kind(setup_hash=b"x" * 32, party=sender)))


OPERATIONS: dict[str, Callable[[Bundle, int, Change], None]] = {
    "field": set_field,
    "chunks": chunked(lambda _chunks, change, bundle: list(bundle[at(bundle, change["copy"])].chunks)),
    "flip": chunked(flip),
    "cut": chunked(cut),
    "number": chunked(number),
    "shift": chunked(shift),
    "turn": chunked(lambda chunks, _change, _bundle: [chunks[0][WIDTH : 2 * WIDTH] + chunks[0][:WIDTH]]),
    "drop_chunk": chunked(lambda chunks, change, _bundle: chunks[: change["chunk"]]),
    "add_chunk": chunked(lambda chunks, change, _bundle: [*chunks, bytes.fromhex(change["hex"])]),
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


# --- stages: holders at the step before each kind of message ---------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """Holders, and what honest parties are about to say."""

    holders: Holders
    said: Bundle


@cache
def stage_of(kind: str) -> Stage:
    holders = Holders(3, 8, value_bits=64)  # two ciphertexts of up to six numbers
    vectors = {p: [1, -1, 2, -2, 3, -3, 4, -4] for p in names(3)}
    match kind:
        case "readies":
            return Stage(holders, [holders.begin(p) for p in names(3)])
        case "ciphers":
            holders.joined()
            return Stage(holders, [holders.contribute(p, vectors[p]) for p in names(3)])
        case "partials":
            holders.ciphers(vectors)
            return Stage(holders, [answer for p in names(3) if (answer := holders.deliver(p)) is not None])
        case "withdrawals":
            holders.ciphers(vectors)
            (send,) = holders.parties["p2"].branch().give(Withdraw())
            return Stage(holders, [parcel(send)])  # type: ignore[arg-type]
        case _:
            raise ValueError(kind)


@dataclass(frozen=True)
class Attack:
    """A vector, played as far as the message that it is about."""

    want: dict[str, Any]
    kind: str
    holders: Holders
    said: Bundle
    bundle: Bundle


def attack(path: Path) -> Attack:
    vector, kind = json.loads(path.read_text()), path.parent.name
    stage = stage_of(kind)
    said = apply(vector["changes"], stage.said)
    return Attack(vector["want_error"], kind, stage.holders.branch(), said, apply(vector.get("relay", []), said))


def give_party(played: Attack, bundle: Bundle) -> None:
    if played.kind == "withdrawals":
        for item in bundle:
            PaillierSum.check_withdrawal(played.holders.setup, item, COORDINATOR)
    else:
        played.holders.parties["p1"].give(Delivered(parcels=tuple(bundle)))


def give_aggregator(played: Attack) -> None:
    for item in played.said:
        if played.kind == "withdrawals":
            PaillierSum.check_withdrawal(played.holders.setup, item, item.message.sender)
        else:
            played.holders.receive(Received(parcel=item))


def ids(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def seen_by(role: str) -> list[Path]:
    return [path for path in VECTORS if json.loads(path.read_text())["want_error"][role]]


@pytest.mark.parametrize("path", seen_by("party"), ids=ids)
def test_a_party_names_the_culprit(path: Path) -> None:
    played = attack(path)
    culprit, got = played.want["party"]
    victim = played.holders.parties["p1"]
    state = victim.state
    with pytest.raises(ProtocolViolation) as caught:
        give_party(played, played.bundle)
    assert (caught.value.party, got in caught.value.got) == (culprit, True), caught.value
    assert victim.state is state
    assert not victim.released


@pytest.mark.parametrize("path", seen_by("aggregator"), ids=ids)
def test_the_aggregator_names_the_sender(path: Path) -> None:
    played = attack(path)
    culprit, got = played.want["aggregator"]
    with pytest.raises(ProtocolViolation) as caught:
        give_aggregator(played)
    assert (caught.value.party, got in caught.value.got) == (culprit, True), caught.value
    assert not played.holders.aggregator.released


@pytest.mark.parametrize("path", VECTORS, ids=ids)
def test_the_honest_words_pass_where_the_attack_does_not(path: Path) -> None:
    played = attack(path)
    stage = stage_of(played.kind)
    assert (played.said, played.bundle) != (stage.said, stage.said)
    if played.want["party"]:
        give_party(played, stage.said)
    if played.want["aggregator"]:
        give_aggregator(replace(played, holders=stage.holders.branch(), said=stage.said))
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
    assert {kind.__name__ for kind in PaillierSum.messages} == {"Ready", "Cipher", "Partial", "Withdrawal"}
    counts = {folder.name: len(list(folder.glob("*.json"))) for folder in FOLDER.iterdir()}
    assert set(counts) == {"readies", "ciphers", "partials", "withdrawals"}
    assert all(count >= 5 for count in counts.values()), counts

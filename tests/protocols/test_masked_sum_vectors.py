"""The attack list on adverts and heads: one file is one attack, its name says which; both roles must name the culprit.

`p1` is the party that checks, `p2` the one that cheats, `relay` the coordinator. A vector changes the honest bundle;
what it changes in a signed field is what the sender of that parcel signed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from federation.crypto.agreement import PRIME
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols.masked_sum.messages import Advert, Head
from federation.protocols.secure_sum import Delivered, Parcel, Received
from tests.protocols.cohort import Cohort, Machine, attested

FOLDER = Path(__file__).parent.parent / "vectors" / "masked_sum"
VECTORS = sorted(FOLDER.glob("*/*.json"))
Bundle = list[Parcel]


def at(bundle: Bundle, sender: str) -> int:
    """Where the last parcel of this sender is."""
    return max(i for i, parcel in enumerate(bundle) if parcel.message.sender == sender)


def key_of(bundle: Bundle, sender: str) -> bytes:
    value = bundle[at(bundle, sender)].message.value
    assert isinstance(value, Advert)
    return value.mask_pk


def value_of(change: dict[str, Any], bundle: Bundle) -> bytes | str | int:
    """The new value of a signed field."""
    match change:
        case {"hex": digits}:
            return bytes.fromhex(digits)
        case {"text": text}:
            return str(text)
        case {"number": number}:
            return int(number)
        case {"copy": other}:
            return key_of(bundle, other)
        case {"alias": other}:
            return pow(int.from_bytes(key_of(bundle, other), "little"), -1, PRIME).to_bytes(32, "little")
        case {"top_bit": other}:
            key = key_of(bundle, other)
            return key[:31] + bytes([key[31] | 0x80])
        case _:
            raise ValueError(change)


def set_field(bundle: Bundle, i: int, change: dict[str, Any]) -> None:
    value = bundle[i].message.value
    changed = replace(value, **{change["name"]: value_of(change, bundle)})  # type: ignore[type-var]
    bundle[i] = replace(bundle[i], message=attested(changed, sender=bundle[i].message.sender))


def set_chunks(bundle: Bundle, i: int, change: dict[str, Any]) -> None:
    chunks = bundle[at(bundle, change["copy"])].chunks if "copy" in change else map(bytes.fromhex, change["hex"])
    bundle[i] = replace(bundle[i], chunks=tuple(chunks))


def flip(bundle: Bundle, i: int, change: dict[str, Any]) -> None:
    chunk = bytearray(bundle[i].chunks[0])
    chunk[change["byte"]] ^= 1 << change["bit"]
    bundle[i] = replace(bundle[i], chunks=(bytes(chunk),))


def cut(bundle: Bundle, i: int, change: dict[str, Any]) -> None:
    bundle[i] = replace(bundle[i], chunks=(bundle[i].chunks[0][: -change["bytes"]],))


def reroot(bundle: Bundle, i: int, _change: dict[str, Any]) -> None:
    value = bundle[i].message.value
    assert isinstance(value, Head)
    root = merkle.root([merkle.leaf_hash(chunk) for chunk in bundle[i].chunks])
    bundle[i] = replace(bundle[i], message=attested(replace(value, chunk_root=root)))


def recut(bundle: Bundle, i: int, change: dict[str, Any]) -> None:
    chunk = bundle[i].chunks[0]
    bundle[i] = replace(bundle[i], chunks=(chunk[:16], chunk[16:]))
    reroot(bundle, i, change)


def swap(bundle: Bundle, i: int, change: dict[str, Any]) -> None:
    j = at(bundle, change["with"])
    bundle[i], bundle[j] = replace(bundle[i], chunks=bundle[j].chunks), replace(bundle[j], chunks=bundle[i].chunks)


def other_kind(bundle: Bundle, i: int, _change: dict[str, Any]) -> None:
    sender = bundle[i].message.sender
    if isinstance(bundle[i].message.value, Advert):
        wrong: Advert | Head = Head(spec_hash=b"x", u2_hash=b"x", party=sender, chunk_root=b"x", length=1)
    else:
        wrong = Advert(setup_hash=b"x", party=sender, mask_pk=b"x")
    bundle[i] = replace(bundle[i], message=attested(wrong))


OPERATIONS: dict[str, Callable[[Bundle, int, dict[str, Any]], None]] = {
    "field": set_field,
    "chunks": set_chunks,
    "flip": flip,
    "cut": cut,
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


def attack(path: Path) -> tuple[dict[str, Any], Cohort, Bundle, Bundle]:
    """The vector, a cohort at the step before it, the honest bundle and the attacked one."""
    vector = json.loads(path.read_text())
    cohort = Cohort(3, 2)
    if path.parent.name == "adverts":
        honest = [cohort.begin(party) for party in cohort.parties]
    else:
        cohort.rostered()
        honest = [cohort.contribute(party, [1, -1]) for party in cohort.parties]
    bundle = list(honest)
    for change in vector["changes"]:
        OPERATIONS[change["op"]](bundle, at(bundle, change["of"]), change)
    return vector, cohort, honest, bundle


def receive(cohort: Cohort, bundle: Bundle) -> None:
    for parcel in bundle:
        cohort.aggregator.give(Received(parcel=parcel))


def ids(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", VECTORS, ids=ids)
def test_a_party_names_the_culprit(path: Path) -> None:
    vector, cohort, _, bundle = attack(path)
    culprit, got = vector["want_error"]["party"]
    victim = cohort.parties["p1"]
    before = victim.state
    with pytest.raises(ProtocolViolation) as caught:
        victim.give(Delivered(parcels=tuple(bundle)))
    assert caught.value.party == culprit
    assert got in caught.value.got
    assert victim.state == before
    assert not victim.released


@pytest.mark.parametrize("path", [p for p in VECTORS if json.loads(p.read_text())["want_error"]["aggregator"]], ids=ids)
def test_the_aggregator_names_the_sender(path: Path) -> None:
    vector, cohort, _, bundle = attack(path)
    culprit, got = vector["want_error"]["aggregator"]
    with pytest.raises(ProtocolViolation) as caught:
        receive(cohort, bundle)
    assert caught.value.party == culprit
    assert got in caught.value.got
    assert not cohort.aggregator.released


@pytest.mark.parametrize("path", VECTORS, ids=ids)
def test_the_honest_bundle_passes_where_the_attacked_one_does_not(path: Path) -> None:
    _, cohort, honest, bundle = attack(path)
    assert bundle != honest
    cohort.parties["p1"].give(Delivered(parcels=tuple(honest)))


def test_no_error_quotes_bytes_of_a_message() -> None:
    for path in VECTORS:
        _, cohort, _, bundle = attack(path)
        with pytest.raises(ProtocolViolation) as caught:
            cohort.parties["p1"].give(Delivered(parcels=tuple(bundle)))
        text = str(caught.value)
        assert "\\x" not in text
        for parcel in bundle:
            value = parcel.message.value
            hashes = (value.mask_pk,) if isinstance(value, Advert) else (value.chunk_root,)  # type: ignore[attr-defined]
            assert not any(part.hex() in text for part in hashes if len(part) > 2)


def test_a_bundle_in_the_wrong_state_blames_the_relay() -> None:
    cohort = Cohort(3)
    bundle = cohort.adverts()
    idle = Machine(state=Cohort(3).parties["p0"].state, party="p0")
    with pytest.raises(ProtocolViolation, match="Delivered in state Idle"):
        idle.give(Delivered(parcels=bundle))

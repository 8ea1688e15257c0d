"""What a coordinator and its colluders can compute: with shares, seeds and keys that they have, from what they saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from federation.crypto import shamir
from federation.ledger import merkle
from federation.protocols.events import Delivered, Parcel, Received, Send
from federation.protocols.masked_sum import masks, party
from federation.protocols.masked_sum.messages import Consent, Unmask
from federation.protocols.setup import Setup
from tests.protocols.cohort import Cohort, Machine, attested

# Chi-square with 255 degrees of freedom: mean 255, standard deviation 22.6. Entropy is fixed: nothing is by chance.
LEAST, MOST = 165.0, 355.0


def chi_square(data: bytes) -> float:
    """Of the bytes of `data` against the uniform distribution."""
    counts = np.bincount(np.frombuffer(data, dtype=np.uint8), minlength=256)
    expected = len(data) / 256
    return float(((counts - expected) ** 2 / expected).sum())


def is_uniform(data: bytes) -> bool:
    """Bytes, the difference of neighbouring bytes, and the bytes of either word of an element alone."""
    array = np.frombuffer(data, dtype=np.uint8)
    words = array.reshape(-1, 16)
    views = (array, array[1:] - array[:-1], words[:, :8], words[:, 8:])
    return all(LEAST < chi_square(view.tobytes()) < MOST for view in views)


def combined(setup: Setup, shares: Mapping[str, bytes]) -> bytes | None:
    """The secret that t of these shares, by holder, open; None where they are too few or do not fit."""
    chosen = sorted(shares)[: setup.threshold]
    if len(chosen) < setup.threshold:
        return None
    weights = shamir.weights([setup.parties.index(holder) for holder in chosen])
    return shamir.combined(weights, [shares[holder] for holder in chosen])


def bare(state: party.Masked, chunks: Sequence[bytes], seed: bytes | None, key: bytes | None) -> bytes:
    """A masked vector without the masks that a seed and a mask key of its owner tell; all of them where both do."""
    mine = next(side for side in state.masked.sides if side.party == state.me)
    pairs = {}
    for side in state.masked.sides:
        if side is not mine and key is not None:
            pairs[side.party] = masks.pair_seed(key, mine, side, state.binding)
    own = masks.self_seed(seed, state.me, state.binding) if seed is not None else None
    streams = masks.streams_on(own or bytes(32), pairs, state.me)
    on = streams.add if own is not None else streams.add[1:]
    taken_off = masks.Streams(add=streams.subtract, subtract=on)
    return b"".join(masks.masked(b"".join(chunks), state.spec.ring, taken_off)[0])


def masked(cohort: Cohort, numbers: Mapping[str, Sequence[int]]) -> dict[str, Parcel]:
    """Let all parties exchange keys and shares and mask their numbers; what each sends."""
    cohort.shared()
    return {name: cohort.contribute(name, numbers[name]) for name in cohort.parties}


def asked(machine: Machine, heads: Mapping[str, Parcel], who: Sequence[str]) -> Parcel:
    """Show a party this list of contributors; its consent."""
    bundle = tuple(Parcel(message=heads[name].message) for name in who)
    effects = machine.give(Delivered(parcels=bundle))
    (send,) = (effect for effect in effects if isinstance(effect, Send))
    assert isinstance(send.message, Consent)
    return Parcel(message=attested(send.message))


def signed_too(consent: Parcel, colluder: str) -> Parcel:
    """A colluder's consent to the same list."""
    value = consent.message.value
    assert isinstance(value, Consent)
    return Parcel(message=attested(Consent(spec_hash=value.spec_hash, u3_hash=value.u3_hash, party=colluder)))


def given(machine: Machine, consents: Sequence[Parcel]) -> Unmask:
    """Show a party these consents; the shares that it gives."""
    effects = machine.give(Delivered(parcels=tuple(consents)))
    (send,) = (effect for effect in effects if isinstance(effect, Send))
    assert isinstance(send.message, Unmask)
    return send.message


def shares_in(unmask: Unmask, everybody: Sequence[str], counted: Sequence[str]) -> dict[tuple[str, str], bytes]:
    """What an unmask holds, by (kind, whose secret)."""
    absent = [name for name in everybody if name not in counted and name != unmask.party]
    seeds = zip(counted, unmask.self_shares, strict=True)
    keys = zip(absent, unmask.key_shares, strict=True)
    return {("seed", name): share for name, share in seeds} | {("key", name): share for name, share in keys}


def receive(cohort: Cohort, *parcels: Parcel) -> None:
    """Give the aggregator what parties say."""
    for parcel in parcels:
        cohort.receive(Received(parcel=parcel))


def for_one(shares: Mapping[str, Parcel], target: str) -> tuple[Parcel, ...]:
    """What a relay that checks nothing forwards to one party of everybody's shares: its boxes, with paths."""
    found = []
    for dealer, parcel in shares.items():
        holders = [name for name in shares if name != dealer]
        if target == dealer:
            found.append(Parcel(message=parcel.message))
            continue
        place = holders.index(target)
        leaves = [merkle.leaf_hash(box) for box in parcel.chunks]
        found.append(Parcel(message=parcel.message, chunks=(parcel.chunks[place], *merkle.inclusion(leaves, place))))
    return tuple(found)


def dealt(cohort: Cohort, bundles: Mapping[str, Sequence[Parcel]]) -> dict[str, Parcel]:
    """Show every party its bundle of adverts, false ones of its own among them; the shares that each deals."""
    found = {}
    for name, bundle in bundles.items():
        machine = cohort.parties[name]
        own = next(parcel.message.value for parcel in bundle if parcel.message.sender == name)
        machine.state = replace(machine.state, advert=own)  # type: ignore[type-var]
        (send,) = machine.give(Delivered(parcels=tuple(bundle)))
        assert isinstance(send, Send)
        found[name] = Parcel(message=attested(send.message), chunks=send.chunks)
    return found

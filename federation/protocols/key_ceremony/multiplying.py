"""One batch until its candidates are known: units become shares of factors, factors become shares of candidates.

Holder after holder multiplies what those before it share by its own units (Malkin, Wu and Boneh 1999), so no factor has
a prime of M; then every ordered pair of holders multiplies its shares of p and q. All of it by transfers: n - 1 holders
together learn nothing of the last one's shares.
"""

from __future__ import annotations

import numpy as np

from federation.crypto import ot
from federation.domain.job import digest
from federation.errors import ProtocolViolation
from federation.protocols.key_ceremony import candidates
from federation.protocols.key_ceremony.events import Delivered, Effect, Proceed
from federation.protocols.key_ceremony.messages import What
from federation.protocols.key_ceremony.products import Layout, layout_of
from federation.protocols.key_ceremony.residues import Residues, column_of, lowered
from federation.protocols.key_ceremony.states import (
    At,
    Choosing,
    Correcting,
    Factors,
    Multiplying,
    Opening,
    Pairs,
    Sieving,
    State,
    bytes_of,
    residues_in,
)
from federation.protocols.key_ceremony.transfers import derived, sound
from federation.protocols.machine import Transition

SIEVE, PRODUCT, EXPONENT = range(3)  # what a use of transfers is for


def use_of(at: At, what: int) -> int:
    """Return the number that transfers are made under, once in a ceremony."""
    return 4 * at.batch + what


def choose(at: At, pairs: Pairs, proceed: Proceed) -> Transition[State, Effect]:
    """Draw, and choose by the units."""
    seed = derived(at, "batch", proceed.batch.to_bytes(4, "big"))
    units, above = candidates.drawn(at.plan, seed, 2 * at.ceremony.batch)
    layout = _sieve(at)
    choices, boxes, pads = layout.choices(units), {}, []
    for name, forest in zip(at.others, pairs.forests, strict=True):
        if name in at.before:
            boxes[name], pad = ot.choose(forest, use_of(at, SIEVE), choices, layout.transfer_moduli)
            pads.append(bytes_of(pad))
    at, sends = at.spoken(What.CHOOSE, boxes=boxes)
    state = Choosing(at=at, pairs=pairs, units=bytes_of(units), above=tuple(above), pads=tuple(pads))
    return Transition(state, sends)


def prepare(now: Choosing, event: Delivered) -> Transition[State, Effect]:
    """Prepare products with the units of every holder after it; the second holder's turn is first."""
    at, heard = now.at.taken(now.what, event.heard)
    layout = _sieve(at)
    prepared = []
    for (name, one), pruned in zip(heard.items(), now.pairs.pruned, strict=True):
        if name in at.after:
            prepared.append(_prepared(now.what, name, layout, pruned, use_of(at, SIEVE), one.box))
        elif one.box:
            raise ProtocolViolation(name, phase=now.what, expected="no box for a holder after it", got="a box")
    share = now.units if at.index == 0 else b""
    return _correct(at, now, tuple(prepared), share, turn=1)


def sieve(now: Sieving, event: Delivered) -> Transition[State, Effect]:
    """Collect, if it was its own turn; the next holder's turn, or all factors are shared."""
    at, heard = now.at.taken(now.what, event.heard)
    layout, share = _sieve(at), now.share
    whose = at.ceremony.holders[now.turn]
    for name, one in heard.items():
        if bool(one.box) != (whose == at.me and name in at.before):
            raise ProtocolViolation(name, phase=now.what, expected=f"corrections for {whose} alone", got="others")
    if whose == at.me:
        own = residues_in(now.units, len(at.plan.sieve))
        parts = [
            sound(now.what, name, layout.collected, own, pads, heard[name].box)
            for name, pads in zip(at.before, now.pads, strict=True)
        ]
        share = bytes_of(_summed(parts, at.plan.sieve))
    if now.turn + 1 < len(at.ceremony.holders):
        return _correct(at, now, now.prepared, share, turn=now.turn + 1)
    return _multiply(at, now, residues_in(share, len(at.plan.sieve)))


def correct(now: Multiplying, event: Delivered) -> Transition[State, Effect]:
    """Make products of its shares of first factors with all others' of second ones."""
    at, heard = now.at.taken(now.what, event.heard)
    layout, product = _product(at), at.plan.product
    mine = lowered(now.factors.p, product)
    total = [mine.astype(np.uint64) * lowered(now.factors.q, product)]
    boxes = {}
    for (name, one), pruned in zip(heard.items(), now.pairs.pruned, strict=True):
        differences, share = _prepared(now.what, name, layout, pruned, use_of(at, PRODUCT), one.box)
        boxes[name] = layout.corrections(differences, mine)
        total.append(residues_in(share, len(product)))
    at, sends = at.spoken(What.CORRECT, boxes=boxes)
    state = Correcting(
        at=at,
        pairs=now.pairs,
        factors=now.factors,
        units=now.units,
        pads=now.pads,
        total=bytes_of(_summed(total, product)),
    )
    return Transition(state, sends)


def publish(now: Correcting, event: Delivered) -> Transition[State, Effect]:
    """Publish its shares of the candidates, bound to its shares of their factors."""
    at, heard = now.at.taken(now.what, event.heard)
    layout, product = _product(at), at.plan.product
    second = lowered(now.factors.q, product)
    parts = [
        sound(now.what, name, layout.collected, second, pads, one.box)
        for (name, one), pads in zip(heard.items(), now.pads, strict=True)
    ]
    share = _summed([residues_in(now.total, len(product)), *parts], product)
    bound = factors_root(at, at.me, [factors_leaf(at, at.me, *both) for both in enumerated(now.factors)])
    at, sends = at.spoken(What.OPEN, now.units + bytes_of(share) + bound)
    return Transition(Opening(at=at, pairs=now.pairs, factors=now.factors), sends)


def published(at: At, what: What, party: str, body: bytes) -> tuple[Residues, Residues, bytes]:
    """Return what a holder published: its units, its shares, and what binds it to its shares of the factors.

    Raises:
        ProtocolViolation: they are none.
    """
    plan, count = at.plan, at.ceremony.batch
    first, second = 2 * len(plan.sieve) * count, 2 * len(plan.product) * count
    if len(body) == first + second + 32:
        units, shares = residues_in(body[:first], len(plan.sieve)), residues_in(body[first:-32], len(plan.product))
        if (np.gcd(units, column_of(plan.sieve)) == 1).all() and (shares < column_of(plan.product)).all():
            return units, shares, body[-32:]
    raise ProtocolViolation(party, phase=what, expected="units and shares below their moduli", got="others")


def enumerated(factors: Factors) -> list[tuple[int, int, int]]:
    """Return (place, share of p, share of q) of all candidates."""
    return [(place, *both) for place, both in enumerate(zip(factors.p, factors.q, strict=True))]


def factors_leaf(at: At, party: str, place: int, p: int, q: int) -> bytes:
    """Return what binds a holder to its shares of the factors of one candidate."""
    size = at.plan.factor_bits // 8
    counts = at.batch.to_bytes(4, "big") + place.to_bytes(4, "big")
    shares = p.to_bytes(size, "big") + q.to_bytes(size, "big")
    return digest("federation/key_ceremony/factors/v1", at.ceremony.hash, party.encode(), counts, shares)


def factors_root(at: At, party: str, leaves: list[bytes]) -> bytes:
    """Return what binds a holder to its shares of the factors of all candidates."""
    return digest("federation/key_ceremony/factors-root/v1", at.ceremony.hash, party.encode(), *leaves)


def _sieve(at: At) -> Layout:
    return layout_of(at.plan.sieve, 2 * at.ceremony.batch)


def _product(at: At) -> Layout:
    return layout_of(at.plan.product, at.ceremony.batch)


def _prepared(what: What, party: str, layout: Layout, pruned: ot.Pruned, use: int, box: bytes) -> tuple[bytes, bytes]:
    zeros, ones = sound(what, party, ot.answer, pruned, use, box, layout.transfer_moduli)
    differences, share = layout.prepared(zeros, ones)
    return differences, bytes_of(share)


def _summed(parts: list[Residues], moduli: tuple[int, ...]) -> Residues:
    total = sum(part.astype(np.uint64) for part in parts) % column_of(moduli)
    return total.astype(np.uint16)


def _correct(
    at: At, now: Choosing, prepared: tuple[tuple[bytes, bytes], ...], share: bytes, turn: int
) -> Transition[State, Effect]:
    """Send corrections to the holder whose turn it is, if this one is before it, and keep the new share."""
    boxes = {}
    if at.index < turn:
        (differences, kept), prepared = prepared[0], prepared[1:]
        boxes[at.ceremony.holders[turn]] = _sieve(at).corrections(differences, residues_in(share, len(at.plan.sieve)))
        share = kept
    at, sends = at.spoken(What.SIEVE, boxes=boxes)
    state = Sieving(
        at=at,
        pairs=now.pairs,
        units=now.units,
        above=now.above,
        pads=now.pads,
        turn=turn,
        prepared=prepared,
        share=share,
    )
    return Transition(state, sends)


def _multiply(at: At, now: Sieving, share: Residues) -> Transition[State, Effect]:
    """Put the factors together from below and above M, and choose by the second ones."""
    plan, count, layout = at.plan, at.ceremony.batch, _product(at)
    found = candidates.factor_shares(plan, at.index == 0, len(at.ceremony.holders), share, now.above)
    factors = Factors(p=tuple(found[:count]), q=tuple(found[count:]))
    choices, boxes, pads = layout.choices(lowered(factors.q, plan.product)), {}, []
    for name, forest in zip(at.others, now.pairs.forests, strict=True):
        boxes[name], pad = ot.choose(forest, use_of(at, PRODUCT), choices, layout.transfer_moduli)
        pads.append(bytes_of(pad))
    own = residues_in(now.units, len(plan.sieve)).astype(np.uint64)
    units = (own[:, :count] * own[:, count:] % column_of(plan.sieve)).astype(np.uint16)
    at, sends = at.spoken(What.MULTIPLY, boxes=boxes)
    state = Multiplying(at=at, pairs=now.pairs, factors=factors, units=bytes_of(units), pads=tuple(pads))
    return Transition(state, sends)

"""The rest of a batch: candidates are known and tested, and every rejected one is opened.

Whoever rejects a modulus by a false power is named: all others compute that power again from the opened shares. A
candidate that is not the product of its opened factors cannot be told so: then everybody opens its entropy.
"""

from __future__ import annotations

from federation.crypto import biprime
from federation.errors import ProtocolViolation
from federation.protocols.key_ceremony import candidates
from federation.protocols.key_ceremony.candidates import BASES
from federation.protocols.key_ceremony.events import Delivered, Effect
from federation.protocols.key_ceremony.messages import What
from federation.protocols.key_ceremony.multiplying import enumerated, factors_leaf, factors_root, published
from federation.protocols.key_ceremony.states import (
    At,
    Confirming,
    Disputing,
    Finishing,
    Opening,
    Revealing,
    State,
    Testing,
)
from federation.protocols.key_ceremony.transfers import boundary
from federation.protocols.machine import Transition

Shares = tuple[int, int]


def test(now: Opening, event: Delivered) -> Transition[State, Effect]:
    """Put the candidates together and raise the first base, of those without a small factor."""
    at, _ = now.at.taken(now.what, event.heard)
    said = [published(at, now.what, name, body) for name, body in at.bodies(What.OPEN)[-1].items()]
    numbers = candidates.moduli(at.plan, [units for units, _, _ in said], [shares for _, shares, _ in said])
    tested = candidates.worth_testing(at.plan, numbers)
    moduli = [numbers[place] for place in tested]
    bases = [candidates.base(n, now.pairs.sid, 0) for n in moduli]
    factors = [(now.factors.p[place], now.factors.q[place]) for place in tested]
    exponents = [candidates.exponent(n, at.index == 0, both) for n, both in zip(moduli, factors, strict=True)]
    at, sends = at.spoken(What.TEST, _joined(at, candidates.raised(bases, exponents, moduli)))
    state = Testing(at=at, pairs=now.pairs, factors=now.factors, numbers=tuple(numbers), tested=tested)
    return Transition(state, sends)


def confirm(now: Testing, event: Delivered) -> Transition[State, Effect]:
    """See which candidates passed the first base."""
    at, _ = now.at.taken(now.what, event.heard)
    return _next(at, now, _passed(at, now))


def confirmed(now: Confirming, event: Delivered) -> Transition[State, Effect]:
    """See whether the candidate passed all other bases as well."""
    at, _ = now.at.taken(now.what, event.heard)
    n = now.numbers[now.passed[0]]
    powers = [_powers(at, What.CONFIRM, name, [n] * (BASES - 1)) for name in at.ceremony.holders]
    if all(candidates.passes(n, of_all) for of_all in zip(*powers, strict=True)):
        return _reveal(at, now, accepted=now.passed[0], untried=now.passed[1:])
    return _next(at, now, now.passed[1:])


def settle(now: Revealing, event: Delivered) -> Transition[State, Effect] | Finishing:
    """Check what was revealed; go on to the next batch, to a dispute, or with the modulus.

    Raises:
        ProtocolViolation: a holder reveals what it is not bound to, or rejected a modulus by a false power.
    """
    at, _ = now.at.taken(now.what, event.heard)
    shares = {name: _revealed(at, now, name, body) for name, body in at.bodies(What.REVEAL)[-1].items()}
    for place, n in enumerate(now.numbers):
        if place != now.accepted:
            each = [shares[name][place] for name in at.ceremony.holders]
            p, q = (sum(share) for share in zip(*each, strict=True))
            if p * q != n or not _formed(at, p) or not _formed(at, q):
                return dispute(at, f"candidate {place} of batch {at.batch} is not what its holders' shares make")
            if place in now.rejected and biprime.maybe_prime(p) and biprime.maybe_prime(q):
                _name_the_false(at, now, place, each)
    tries = at.proceed.tries if at.proceed else 0
    if now.accepted < 0:
        return boundary(at, now.pairs, tries + at.ceremony.batch)
    return Finishing(
        at=at,
        pairs=now.pairs,
        n=now.numbers[now.accepted],
        p=now.factors.p[now.accepted],
        q=now.factors.q[now.accepted],
        tries=tries + now.accepted + 1,
    )


def dispute(at: At, why: str) -> Transition[State, Effect]:
    """Open the entropy: it is worth nothing without a key, and it shows who computed what."""
    at, sends = at.spoken(What.DISPUTE, at.entropy)
    return Transition(Disputing(at=at, why=why), sends)


def _next(at: At, now: Testing, passed: tuple[int, ...]) -> Transition[State, Effect]:
    """Raise all other bases for the first candidate that is left, or reveal."""
    if not passed:
        return _reveal(at, now, accepted=-1, untried=())
    place, count = passed[0], BASES - 1
    n = now.numbers[place]
    exponent = candidates.exponent(n, at.index == 0, (now.factors.p[place], now.factors.q[place]))
    bases = [candidates.base(n, now.pairs.sid, number) for number in range(1, BASES)]
    at, sends = at.spoken(What.CONFIRM, _joined(at, candidates.raised(bases, [exponent] * count, [n] * count)))
    state = Confirming(
        at=at,
        pairs=now.pairs,
        factors=now.factors,
        numbers=now.numbers,
        tested=now.tested,
        passed=passed,
    )
    return Transition(state, sends)


def _reveal(at: At, now: Testing, accepted: int, untried: tuple[int, ...]) -> Transition[State, Effect]:
    """Reveal all but the accepted candidate; of that one a digest, so that the whole is what was bound."""
    size = at.plan.factor_bits // 8
    parts = [
        factors_leaf(at, at.me, place, p, q) if place == accepted else p.to_bytes(size, "big") + q.to_bytes(size, "big")
        for place, p, q in enumerated(now.factors)
    ]
    at, sends = at.spoken(What.REVEAL, b"".join(parts))
    state = Revealing(
        at=at,
        pairs=now.pairs,
        factors=now.factors,
        numbers=now.numbers,
        tested=now.tested,
        accepted=accepted,
        rejected=tuple(place for place in now.tested if place != accepted and place not in untried),
    )
    return Transition(state, sends)


def _revealed(at: At, now: Revealing, party: str, body: bytes) -> list[Shares]:
    """Return a holder's shares of the factors, (0, 0) of the accepted candidate."""
    size, count = at.plan.factor_bits // 8, len(now.numbers)
    hidden = int(now.accepted >= 0)
    expected, got = "the shares of factors that it is bound to", "others"
    if len(body) != 2 * size * (count - hidden) + 32 * hidden:
        raise ProtocolViolation(party, phase=now.what, expected=expected, got=got)
    shares, leaves, start = [], [], 0
    for place in range(count):
        if place == now.accepted:
            shares.append((0, 0))
            leaves.append(body[start : start + 32])
            start += 32
            continue
        p, q = (int.from_bytes(body[at : at + size], "big") for at in (start, start + size))
        shares.append((p, q))
        leaves.append(factors_leaf(at, party, place, p, q))
        start += 2 * size
    bound = published(at, now.what, party, at.bodies(What.OPEN)[-1][party])[2]
    if factors_root(at, party, leaves) != bound:
        raise ProtocolViolation(party, phase=now.what, expected=expected, got=got)
    return shares


def _formed(at: At, factor: int) -> bool:
    """Return whether a factor is 3 modulo 4 and in [3/4, 1) of its length; that it has no prime of M its units show."""
    return factor % 4 == 3 and factor >> at.plan.factor_bits - 2 == 3


def _name_the_false(at: At, now: Revealing, place: int, shares: list[Shares]) -> None:
    """Raise ProtocolViolation if a power by which a product of two primes was rejected was another one."""
    n = now.numbers[place]
    said = {0: [(body, now.tested.index(place)) for body in at.bodies(What.TEST)[-1].values()]}
    for confirmed_place, bodies in zip(_passed(at, now), at.bodies(What.CONFIRM), strict=False):
        if confirmed_place == place:
            said |= {number: [(body, number - 1) for body in bodies.values()] for number in range(1, BASES)}
    width = at.ceremony.bits // 8
    for number, of_all in said.items():
        base = candidates.base(n, now.pairs.sid, number)
        for party, (body, index), both in zip(at.ceremony.holders, of_all, shares, strict=True):
            exponent = candidates.exponent(n, party == at.ceremony.holders[0], both)
            if biprime.power(base, exponent, n).to_bytes(width, "big") != body[index * width : (index + 1) * width]:
                raise ProtocolViolation(
                    party,
                    phase=What.TEST if number == 0 else What.CONFIRM,
                    expected="the power of its shares",
                    got="another one, by which a modulus was rejected",
                )


def _passed(at: At, now: Testing) -> tuple[int, ...]:
    """Return the places of the candidates that passed the first base."""
    moduli = [now.numbers[place] for place in now.tested]
    powers = [_powers(at, What.TEST, name, moduli) for name in at.ceremony.holders]
    each = zip(now.tested, moduli, zip(*powers, strict=True), strict=True)
    return tuple(place for place, n, of_all in each if candidates.passes(n, of_all))


def _joined(at: At, powers: list[int]) -> bytes:
    return b"".join(power.to_bytes(at.ceremony.bits // 8, "big") for power in powers)


def _powers(at: At, what: What, party: str, moduli: list[int]) -> list[int]:
    """Return the powers that a holder said last in such a step, one for each modulus."""
    body, width = at.bodies(what)[-1][party], at.ceremony.bits // 8
    found = [int.from_bytes(body[start : start + width], "big") for start in range(0, len(body), width)]
    if len(body) != width * len(moduli) or not all(0 < power < n for power, n in zip(found, moduli, strict=True)):
        raise ProtocolViolation(party, phase=what, expected="one power below each modulus", got="others")
    return found

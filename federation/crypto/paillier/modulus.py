"""Proof that a modulus is the product of two primes 3 mod 4 that decrypts: the Paillier-Blum proof of CGGMP (2020).

For 80 numbers y that a hash picks, the owner shows the n-th root of y and a fourth root of one of y, -y, wy, -wy, where
w has the Jacobi symbol -1. With a square in n, with a factor that divides another one minus 1, or with a third prime,
most y have no such roots. It says nothing about how large the factors are: a modulus from a stranger who gains by a
factor of 20 digits needs another proof besides. A joint modulus needs none: its ceremony tests it.
"""

from __future__ import annotations

from collections.abc import Sequence

import gmpy2
from gmpy2 import mpz

from federation.crypto.paillier.draws import public_residue, sized
from federation.crypto.paillier.keys import BadKey, OwnerKey, PublicKey, check_modulus
from federation.crypto.paillier.proofs import BadProof
from federation.crypto.paillier.spreading import in_runs

ROUNDS = 80
_LABEL = b"federation/paillier/modulus/v1"


def modulus_proof(owner: OwnerKey, context: bytes) -> bytes:
    """Return the proof for whoever stands in `context`: 80 times two numbers below n and a byte, 40 KB at 2048 bits."""
    p, q = mpz(owner.p), mpz(owner.q)
    n = p * q
    twist, numbers = _picked(n, context)
    lift = gmpy2.invert(q, p)
    unwound = gmpy2.invert(n, (p - 1) * (q - 1))
    fourth = [((factor + 1) // 4) ** 2 % (factor - 1) for factor in (p, q)]

    def power(number: mpz, by_p: mpz, by_q: mpz) -> mpz:
        in_p, in_q = gmpy2.powmod(number % p, by_p, p), gmpy2.powmod(number % q, by_q, q)
        return in_q + q * ((in_p - in_q) * lift % p)

    size = owner.bits // 8
    rounds = []
    for number in numbers:
        kind, square = next(
            (kind, turned)
            for kind, turned in enumerate(_turned(number, twist, n))
            if gmpy2.jacobi(turned, p) == gmpy2.jacobi(turned, q) == 1
        )
        roots = power(number, unwound % (p - 1), unwound % (q - 1)), power(square, *fourth)
        rounds.append(b"".join(sized(root, size) for root in roots) + bytes([kind]))
    return b"".join(rounds)


def check_modulus_proof(public: PublicKey, proof: bytes, context: bytes) -> None:
    """Raise BadProof unless n was proved in this context to have the right form; both cores, where threads were lent.

    Raises:
        BadKey: what can be seen without a proof is wrong already.
    """
    check_modulus(public.n)
    n, size = mpz(public.n), public.bits // 8
    if len(proof) != ROUNDS * (2 * size + 1):
        raise BadProof("a proof of another length")
    twist, numbers = _picked(n, context)
    rounds = [proof[at : at + 2 * size + 1] for at in range(0, len(proof), 2 * size + 1)]
    roots = [mpz.from_bytes(each[:size], "big") for each in rounds]
    fourths = [mpz.from_bytes(each[size:-1], "big") for each in rounds]
    if not all(0 < number < n for number in (*roots, *fourths)) or any(each[-1] > 3 for each in rounds):
        raise BadProof("a number that does not lie between 0 and n")
    if in_runs(roots, lambda run: gmpy2.powmod_base_list(list(run), n, n)) != numbers:
        raise BadProof("a number that has no n-th root: factors that do not decrypt, or another context")
    turned = [_turned(number, twist, n)[each[-1]] for number, each in zip(numbers, rounds, strict=True)]
    if [gmpy2.powmod(fourth, 4, n) for fourth in fourths] != turned:
        raise BadProof("a number that has no fourth root: not two primes that are 3 modulo 4")


def _picked(n: mpz, context: bytes) -> tuple[mpz, list[mpz]]:
    """Return w with the Jacobi symbol -1, and the 80 numbers, as everybody finds them."""
    statement = (context, sized(n))
    tried = (public_residue(n, _LABEL, b"twist", *statement, bytes([at])) for at in range(256))
    twist = next((each for each in tried if gmpy2.jacobi(each, n) == -1), None)
    if twist is None:  # once in 2^256, and always for a square
        raise BadKey("a modulus without numbers of the Jacobi symbol -1")
    return twist, [public_residue(n, _LABEL, b"number", *statement, bytes([at])) for at in range(ROUNDS)]


def _turned(number: mpz, twist: mpz, n: mpz) -> Sequence[mpz]:
    twisted = number * twist % n
    return number, n - number, twisted, n - twisted

"""Paillier's public key with a public base for short exponents, and the secret key of a single owner.

Encryption is (1 + n)^m hs^alpha mod n^2 with |n|/2 bits of alpha (Damgard, Jurik and Nielsen 2010). Here hs is never
sent: x = H(n, sid), h = -x^2 mod n, hs = h^n mod n^2 is what everybody computes, so nobody chooses an hs that is no
n-th residue and keeps plaintexts. What a stranger's modulus hides (three primes, a factor just above the sieve) only
`modulus.check_modulus_proof` finds, or the ceremony that made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import gmpy2
from gmpy2 import mpz

from federation.crypto.paillier import ciphertexts
from federation.crypto.paillier.draws import Draws, hashed, public_residue, sized
from federation.crypto.paillier.powers import all_powers
from federation.errors import Misuse

SMALLEST_BITS = 512  # factors fall in hours: for tests
PRODUCTION_BITS = 2048
LARGEST_BITS = 8192
SIEVED = 1 << 16  # no prime below it divides a modulus
FERMAT_STEPS = 64
PRIME_ROUNDS = 30  # of gmpy2.is_prime: Baillie-PSW, then Miller-Rabin
APART_BITS = 100  # p and q differ in one of their first 100 bits

_LABEL = b"federation/paillier/key/v1"
OWNED = hashed(_LABEL, b"owned")  # the `sid` of keys that somebody made alone

# Fingerprints of moduli whose factors anybody can read: those of our tests.
DEVELOPMENT = frozenset({
    bytes.fromhex("c3a0bb0f8f90b06adb40afc776950539cb740ebd8f9a7a8917eeaf4b60af43f7"),
    bytes.fromhex("8bd77a694054490dc161b197df041f8f8b79fd6a2e9ca65e47c9a2029cebb565"),
})  # fmt: skip


class BadKey(ValueError):
    """A key that nobody may encrypt under; the text says why and never quotes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """Whoever has it encrypts and adds.

    Attributes:
        n: product of two primes of equal length, both 3 mod 4.
        hs: an n-th residue modulo n^2, the base of the blinding.
    """

    n: int
    hs: int

    @classmethod
    def joint(cls, n: int, sid: bytes) -> PublicKey:
        """Return the key of this modulus; `sid` is that of the session that made n, fixed before n was known."""
        return cls(n=n, hs=_residue(n, sid))

    @classmethod
    def owned(cls, n: int) -> PublicKey:
        """Return the key of a modulus that somebody made alone."""
        return cls.joint(n, OWNED)

    @property
    def bits(self) -> int:
        """Length of n."""
        return self.n.bit_length()

    @property
    def alpha_bits(self) -> int:
        """Length of the exponents that blind."""
        return self.bits // 2

    @property
    def digest(self) -> bytes:
        """32 bytes over n and hs, for transcripts."""
        return hashed(_LABEL, b"digest", sized(self.n), sized(self.hs))

    @property
    def fingerprint(self) -> bytes:
        """32 bytes over n alone, which DEVELOPMENT lists."""
        return hashed(_LABEL, b"fingerprint", sized(self.n))

    def check(self, sid: bytes = OWNED) -> None:
        """Raise BadKey unless n has the form of a modulus, as far as one can see, and hs is the one of n and `sid`."""
        check_modulus(self.n)
        if self.hs != _residue(self.n, sid):
            raise BadKey("a base that is not the one of this modulus and session")

    def check_production(self, sid: bytes = OWNED) -> None:
        """Raise BadKey as `check` does, and for keys that protect nobody: too short, or known from our tests."""
        if self.bits < PRODUCTION_BITS:
            raise BadKey(f"a modulus of {self.bits} bits; {PRODUCTION_BITS} are the least")
        if self.fingerprint in DEVELOPMENT:
            raise BadKey("a development key, whose factors anybody can read")
        self.check(sid)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OwnerKey:
    """The factors of a modulus with a single owner, who reads everything that is ever sent under it.

    Attributes:
        p: prime, 3 mod 4.
        q: another one of the same length.

    Raises:
        BadKey: they are no such primes, too close to each other, or unfit for decryption.
    """

    p: int
    q: int

    def __post_init__(self) -> None:
        p, q = self.p, self.q
        if p.bit_length() != q.bit_length() or abs(p - q).bit_length() <= p.bit_length() - APART_BITS:
            raise BadKey("factors of one length that differ in their first bits are needed")
        if p % 4 != 3 or q % 4 != 3 or not all(gmpy2.is_prime(mpz(factor), PRIME_ROUNDS) for factor in (p, q)):
            raise BadKey("prime factors that are 3 modulo 4 are needed")
        if gmpy2.gcd(p - 1, q - 1) != 2 or gmpy2.gcd(mpz(p) * q, (p - 1) * (q - 1)) != 1:
            raise BadKey("factors whose predecessors share more than 2")

    def __repr__(self) -> str:
        return f"OwnerKey({self.bits} bits)"

    @classmethod
    def made(cls, bits: int, entropy: bytes) -> OwnerKey:
        """Return the key of 32 secret bytes; its modulus has exactly `bits` bits. Raises Misuse for an odd length."""
        if bits % 64 or not SMALLEST_BITS <= bits <= LARGEST_BITS:
            raise Misuse(f"a modulus has {SMALLEST_BITS} to {LARGEST_BITS} bits, a multiple of 64, not {bits}")
        draws = Draws(entropy, _LABEL, b"factors", bits.to_bytes(4, "big"))
        while True:
            p, q = _prime(draws, bits // 2), _prime(draws, bits // 2)
            try:
                return cls(p=int(p), q=int(q))
            except BadKey:  # p - 1 and q - 1 of a third of all pairs share more than 2
                continue

    @property
    def bits(self) -> int:
        """Length of n."""
        return (self.p * self.q).bit_length()

    @property
    def public(self) -> PublicKey:
        """What everybody may know."""
        return PublicKey.owned(self.p * self.q)

    def decrypt(self, given: Sequence[int]) -> list[int]:
        """Return the plaintexts, each in [0, n), with both cores where threads were lent.

        Raises:
            BadCiphertext: one of them is none.
        """
        p, q = mpz(self.p), mpz(self.q)
        ciphertexts.check(p * q, given)
        in_both = (_read(factor, other, given) for factor, other in ((p, q), (q, p)))
        lift = gmpy2.invert(q, p)
        return [in_q + q * ((in_p - in_q) * lift % p) for in_p, in_q in zip(*in_both, strict=True)]


def check_modulus(n: int) -> None:
    """Raise BadKey unless n could be a modulus: length, n = 1 mod 4, no small factor, no prime, no power, p far from q.

    Whether it has exactly two factors cannot be seen.
    """
    check_length(n)
    modulus = mpz(n)
    if modulus % 4 != 1 or gmpy2.gcd(modulus, _primorial()) != 1:
        raise BadKey("a modulus that is even, not 1 modulo 4, or has a small factor")
    if gmpy2.is_power(modulus):
        raise BadKey("a modulus that is a power")
    root = gmpy2.isqrt(modulus) + 1
    if any(gmpy2.is_square((root + step) ** 2 - modulus) for step in range(FERMAT_STEPS)):
        raise BadKey("a modulus whose factors are too close to each other")
    if gmpy2.is_prime(modulus):
        raise BadKey("a modulus that is prime")


def check_length(n: int) -> None:
    """Raise BadKey unless n has a length that moduli have."""
    bits = n.bit_length()
    if n < 0 or bits % 64 or not SMALLEST_BITS <= bits <= LARGEST_BITS:
        raise BadKey(f"a modulus has {SMALLEST_BITS} to {LARGEST_BITS} bits, a multiple of 64, not {bits}")


@lru_cache(maxsize=16)
def _residue(n: int, sid: bytes) -> int:
    """Return hs. Both factors are 3 mod 4, so h = -x^2 has the Jacobi symbol 1 and is no square."""
    check_length(n)
    modulus = mpz(n)
    h = modulus - public_residue(n, _LABEL, b"base", sized(n), sid) ** 2 % modulus
    return int(gmpy2.powmod(h, modulus, modulus * modulus))


@lru_cache(maxsize=1)
def _primorial() -> mpz:
    return gmpy2.primorial(SIEVED)


def _prime(draws: Draws, bits: int) -> mpz:
    """Return a random prime that is 3 mod 4, in [3/4, 1) of 2^bits, so that the product of two has 2 * bits bits."""
    while True:
        found = draws.bits(bits) | 3 << (bits - 2) | 3
        if gmpy2.is_prime(found, PRIME_ROUNDS):
            return found


def _read(factor: mpz, other: mpz, given: Sequence[int]) -> list[mpz]:
    """Return the plaintexts modulo one prime factor: c^(p-1) = 1 - m q p mod p^2."""
    square, undo = factor * factor, gmpy2.invert(-other, factor)
    found = all_powers(factor, [ciphertext % square for ciphertext in given], factor - 1)
    return [(power - 1) // factor * undo % factor for power in found]

"""Encrypts under one public key, and computes with ciphertexts.

The sum of ciphertexts is a product that everybody computes alike, so that its decryption can be audited; whatever a
private factor went into is blinded again, or the factor could be found by trying. Blindings are bound to what they
blind: after a fork, or when entropy serves twice, two plaintexts are never under one alpha. Python's integers and
tables take longer for some numbers than for others: nothing here is constant-time.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import count

import gmpy2
from gmpy2 import mpz

from federation.crypto.paillier import ciphertexts
from federation.crypto.paillier.comb import comb
from federation.crypto.paillier.draws import Draws, framed, sized
from federation.crypto.paillier.keys import PublicKey
from federation.crypto.paillier.multiexp import power_product
from federation.crypto.paillier.pool import Pool
from federation.crypto.paillier.spreading import in_runs
from federation.errors import Misuse

# A product with private factors is blinded by an exponent so much longer than what it hides, that even who can take
# discrete logarithms (the owner of the factors of n) learns less than 2^-72.
SPARE_BITS = 72
_LABEL = b"federation/paillier/engine/v1"


class Engine:
    """Everything that takes a public key and entropy.

    Args:
        public: the key, checked by whoever got it.
        entropy: 32 secret bytes, for this engine only.
        pool: blindings made beforehand under the same key.
    """

    __slots__ = ("_base", "_entropy", "_n", "_pool", "_public", "_ready", "_square", "_uses")

    def __init__(self, public: PublicKey, entropy: bytes, pool: Pool | None = None) -> None:
        self._public, self._entropy, self._pool = public, entropy, pool
        self._n = mpz(public.n)
        self._square = self._n * self._n
        self._base = comb(public.n, public.hs, public.alpha_bits)
        self._uses = count()
        self._ready: dict[int, int] = {}  # powers of alphas that were taken out of the pool

    def alphas(self, plaintexts: Sequence[int]) -> list[int]:
        """Return what will blind these plaintexts, once: for whoever proves that he knows what he encrypted."""
        numbers = self._checked(plaintexts)
        taken = self._pool.take(len(numbers)) if self._pool is not None else []
        self._ready.update(taken)
        draws, bits = self._draws(b"alphas", *map(sized, numbers)), self._public.alpha_bits
        return [alpha for alpha, _ in taken] + [int(draws.bits(bits)) for _ in numbers[len(taken) :]]

    def encrypt(self, plaintexts: Sequence[int], alphas: Sequence[int] | None = None) -> list[int]:
        """Return the ciphertexts of these plaintexts, on both cores where threads were lent.

        Args:
            plaintexts: each in [0, n).
            alphas: what `alphas` returned for these very plaintexts, used once; drawn here without them.

        Raises:
            Misuse: something else than integers, or another range.
        """
        numbers = self._checked(plaintexts)
        blinds = self.alphas(numbers) if alphas is None else alphas
        if len(blinds) != len(numbers) or any(alpha.bit_length() > self._public.alpha_bits for alpha in blinds):
            raise Misuse(f"one alpha of {self._public.alpha_bits} bits for each plaintext is needed")
        powers = [self._ready.pop(alpha, None) for alpha in blinds]
        lacking = [place for place, power in enumerate(powers) if power is None]
        computed = self._base.powers([blinds[place] for place in lacking], [numbers[place] for place in lacking])
        found = iter(computed)
        return [
            next(found) if power is None else power * (1 + self._n * number) % self._square
            for power, number in zip(powers, numbers, strict=True)
        ]

    def add(self, one: Sequence[int], other: Sequence[int]) -> list[int]:
        """Return the ciphertexts of the sums, place by place."""
        return ciphertexts.product(self._public.n, [one, other])

    def product(self, columns: Sequence[Sequence[int]]) -> list[int]:
        """Return the ciphertexts of the sums of all columns, place by place, the same whoever computes it."""
        return ciphertexts.product(self._public.n, columns)

    def scale(self, ciphertext: int, factor: int) -> int:
        """Return a ciphertext of the plaintext times a private integer."""
        return self.dot([ciphertext], [factor])

    def dot(self, given: Sequence[int], weights: Sequence[int]) -> int:
        """Return a ciphertext of the sum of plaintexts times private integers, on both cores where threads were lent.

        Args:
            given: ciphertexts, checked on arrival.
            weights: as many integers of either sign, shorter than n.

        Raises:
            Misuse: other lengths, or something else than integers.
        """
        factors = self._weights(given, weights)
        parts = in_runs(list(zip(given, factors, strict=True)), lambda run: [self._powers(run)])
        return self._blinded(ciphertexts.product(self._public.n, [[part] for part in parts]), [factors])[0]

    def matrix(self, rows: Sequence[Sequence[int]], given: Sequence[int]) -> list[int]:
        """Return the ciphertexts of the products with a private matrix: `dot` for each row, rows on both cores."""
        factors = [self._weights(given, weights) for weights in rows]
        products = in_runs(
            factors, lambda run: [self._powers(list(zip(given, weights, strict=True))) for weights in run]
        )
        return self._blinded(products, factors)

    def to_bytes(self, given: Sequence[int]) -> bytes:
        """Return ciphertexts for the wire: all of one width, whatever is in them."""
        return ciphertexts.to_bytes(self._public.n, given)

    def from_bytes(self, data: bytes) -> list[int]:
        """Return the ciphertexts of foreign bytes. Raises BadCiphertext."""
        return ciphertexts.from_bytes(self._public.n, data)

    def _checked(self, plaintexts: Sequence[int]) -> list[int]:
        try:
            numbers = [operator.index(plaintext) for plaintext in plaintexts]
        except TypeError:
            raise Misuse("integers are encrypted", hint="one fixed scale for all numbers of a query") from None
        if any(not 0 <= number < self._n for number in numbers):
            raise Misuse("a plaintext lies in [0, n)")
        return numbers

    def _weights(self, given: Sequence[int], weights: Sequence[int]) -> list[int]:
        try:
            factors = [operator.index(weight) for weight in weights]
        except TypeError:
            raise Misuse("ciphertexts are multiplied by integers only", hint="scale weights to integers") from None
        if len(factors) != len(given) or any(factor.bit_length() >= self._public.bits for factor in factors):
            raise Misuse("one integer shorter than n for each ciphertext is needed")
        return factors

    def _powers(self, run: Sequence[tuple[int, int]]) -> mpz:
        """Return the product of ciphertexts to the power of integers of either sign."""
        above, below = (
            power_product(self._square, [base for base, _ in some], [abs(weight) for _, weight in some])
            for some in ([pair for pair in run if pair[1] > 0], [pair for pair in run if pair[1] < 0])
        )
        return above if below == 1 else above * gmpy2.invert(below, self._square) % self._square

    def _blinded(self, products: Sequence[int], rows: Sequence[Sequence[int]]) -> list[int]:
        """Return the products of powers under fresh blindings, which cover what `rows` did to the old ones."""
        longest = max((weight.bit_length() for weights in rows for weight in weights), default=0)
        terms = max(map(len, rows), default=0)
        bits = self._public.alpha_bits + longest + terms.bit_length() + SPARE_BITS
        draws = self._draws(b"blinding", *map(sized, products))
        masks = self._base.powers([int(draws.bits(bits)) for _ in products])
        return [product * mask % self._square for product, mask in zip(products, masks, strict=True)]

    def _draws(self, what: bytes, *parts: bytes) -> Draws:
        return Draws(
            self._entropy, _LABEL, self._public.digest, what, next(self._uses).to_bytes(8, "big"), framed(*parts)
        )

"""Many signed numbers in one plaintext, each in a slot with room for the sum, and a header that says nothing of them.

A number v of `value_bits` goes into its slot as v + 2^(value_bits - 1), which is never negative, so a sum of `terms`
plaintexts is the sum in every slot, and `terms` offsets come off at the end. Overflow is refused before encryption and
noticed after decryption. There is no exponent and no float: one scale holds for a whole query and stands in the
header, which has one length for all numbers. A factor counts as so many terms, so a negative one is refused.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from federation.errors import Misuse

SPARE_BITS = 8  # of a modulus that no slot uses: a plaintext stays far below n
_HEADER = struct.Struct(">QIQQ")


class BadPlaintext(ValueError):
    """A plaintext that is no sum of so many packed ones; the text says why and never quotes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """How numbers lie in plaintexts; the same for all who add.

    Attributes:
        value_bits: of one number, sign included: it lies in [-2^(b-1), 2^(b-1)).
        terms: most plaintexts that are ever added up.
        slot_bytes: of one slot.
        per_ciphertext: slots in one plaintext; the first has the lowest bytes.
    """

    value_bits: int
    terms: int
    slot_bytes: int
    per_ciphertext: int

    def __post_init__(self) -> None:
        if self.value_bits < 1 or self.terms < 1 or self.per_ciphertext < 1:
            raise Misuse("slots have at least one bit, one term and one place")
        if self.terms * self.top >= 1 << 8 * self.slot_bytes:
            raise Misuse(
                f"the sum of {self.terms} numbers of {self.value_bits} bits does not fit {self.slot_bytes} bytes"
            )

    @classmethod
    def fitting(cls, *, value_bits: int, terms: int, modulus_bits: int) -> Slots:
        """Return the narrowest slots of whole bytes. Raises Misuse if the modulus has not even one."""
        if value_bits < 1 or terms < 1:
            raise Misuse("slots have at least one bit and one term")
        slot_bytes = -(-(terms * ((1 << value_bits) - 1)).bit_length() // 8)
        return cls(
            value_bits=value_bits,
            terms=terms,
            slot_bytes=slot_bytes,
            per_ciphertext=(modulus_bits - SPARE_BITS) // (8 * slot_bytes),
        )

    @property
    def top(self) -> int:
        """The largest content of a slot that one number makes."""
        return (1 << self.value_bits) - 1

    @property
    def offset(self) -> int:
        """What is added to a number."""
        return 1 << (self.value_bits - 1)

    def ciphertexts(self, count: int) -> int:
        """Return how many plaintexts, and so ciphertexts, `count` numbers need."""
        return -(-count // self.per_ciphertext)

    def pack(self, numbers: Sequence[int]) -> list[int]:
        """Return the plaintexts of these numbers; slots that are left over hold nothing.

        Raises:
            Misuse: something that is no integer, or a number of more than `value_bits`.
        """
        try:
            raised = [operator.index(number) + self.offset for number in numbers]
        except TypeError:
            raise Misuse("integers expected", hint="one fixed scale for all numbers of a query") from None
        if raised and not 0 <= min(raised) <= max(raised) <= self.top:
            raise Misuse(f"a number that does not fit {self.value_bits} bits", hint="clip it, or widen the slots")
        width = self.slot_bytes
        data = b"".join([number.to_bytes(width, "little") for number in raised])
        step = width * self.per_ciphertext
        return [int.from_bytes(data[at : at + step], "little") for at in range(0, len(data), step)]

    def unpack(self, plaintexts: Sequence[int], terms: int, count: int) -> list[int]:
        """Return the `count` sums of `terms` packed plaintexts each.

        Raises:
            BadPlaintext: something beside the slots, in a slot that nobody filled, or larger than so many terms make.
            Misuse: fewer than one or more than `terms` terms, or not as many plaintexts as `count` numbers need.
        """
        if not 1 <= terms <= self.terms:
            raise Misuse(f"1 to {self.terms} terms expected, got {terms}")
        if len(plaintexts) != self.ciphertexts(count):
            raise Misuse(f"{count} numbers lie in {self.ciphertexts(count)} plaintexts, not in {len(plaintexts)}")
        width = self.slot_bytes
        step = width * self.per_ciphertext
        if any(not 0 <= plaintext < 1 << 8 * step for plaintext in plaintexts):
            raise BadPlaintext("a plaintext with something beside its slots")
        data = b"".join([int(plaintext).to_bytes(step, "little") for plaintext in plaintexts])
        if any(data[count * width :]):
            raise BadPlaintext("a number in a slot that nobody fills")
        sums = [int.from_bytes(data[at : at + width], "little") for at in range(0, count * width, width)]
        if sums and max(sums) > terms * self.top:
            raise BadPlaintext("a sum that is larger than its terms can make it")
        shift = terms * self.offset
        return [total - shift for total in sums]


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What travels beside ciphertexts, in the clear: the same for all numbers that a query can have.

    Attributes:
        scale: units of a packed number to one of the query's.
        value_bits: as `Slots` has it.
        terms: packed plaintexts that are in each ciphertext; a factor counts as so many.
        count: numbers.
    """

    scale: int
    value_bits: int
    terms: int
    count: int

    def __post_init__(self) -> None:
        if not 0 < self.scale < 1 << 64 or not 0 < self.value_bits < 1 << 32:
            raise Misuse("a header has a scale of at most 64 bits and at least one bit for a number")
        if not 0 < self.terms < 1 << 64 or not 0 <= self.count < 1 << 64:
            raise Misuse("a header has 1 to 2^64 terms and at most 2^64 numbers")

    def plus(self, others: Iterable[Header], slots: Slots) -> Header:
        """Return the header of the sum. Raises Misuse for numbers of another kind, or more terms than `slots` hold."""
        others = tuple(others)
        if any(replace(other, terms=self.terms) != self for other in others):
            raise Misuse("numbers of one scale, one width and one count are added")
        return self._of(self.terms + sum(other.terms for other in others), slots)

    def times(self, factor: int, slots: Slots) -> Header:
        """Return the header of the product. Raises Misuse for a factor below 1, or more terms than `slots` hold."""
        if factor < 1:
            raise Misuse("packed numbers are multiplied by positive integers only: a sign would break every slot")
        return self._of(self.terms * factor, slots)

    def _of(self, terms: int, slots: Slots) -> Header:
        if self.value_bits != slots.value_bits or terms > slots.terms:
            raise Misuse(f"slots for {slots.terms} terms of {slots.value_bits} bits do not hold {terms}")
        return replace(self, terms=terms)

    def to_bytes(self) -> bytes:
        """Return 28 bytes."""
        return _HEADER.pack(self.scale, self.value_bits, self.terms, self.count)

    @classmethod
    def of(cls, data: bytes) -> Header:
        """Return the header of foreign bytes. Raises BadPlaintext for bytes that are none."""
        try:
            scale, value_bits, terms, count = _HEADER.unpack(data)
            return cls(scale=scale, value_bits=value_bits, terms=terms, count=count)
        except (struct.error, Misuse):
            raise BadPlaintext("bytes that are no header of packed numbers") from None

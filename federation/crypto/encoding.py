"""Numbers in fixed point, several to an element of a ring: what a model's update is when it is summed under masks.

An element has L lanes of kappa = width // L bits: element = sum of q_l * 2^(kappa * l), where q = rint((x + clip) * s)
has `bits` bits and s = (2^bits - 1) / (2 * clip). Up to four lanes lie in 64 bits; five, seven and nine in 128, where
they are denser than any number of lanes in 64. No lane of a sum of at most `parties` vectors reaches its neighbour, so
sums of elements are sums of numbers, bit by bit. Entries fill the lanes of an element from the lowest, then the next
element; lanes that are left over hold 0. After them come two whole elements, the weight and how many entries were
clipped, so that both are known of all together and of nobody alone. The last element of every chunk of CHUNK_BYTES, and
of the vector, is the sum of all that the chunk holds: a total that was damaged, or from which a mask did not come off,
does not fit it.

Refused: numbers that are not finite, and parameters under which a lane could overflow. Nothing here stops a party that
packs other words than these: whether its sum makes sense is what `decode` can see, and no more.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.crypto import agreement
from federation.crypto.blinding import share
from federation.crypto.lanes import WIDE, Held, Rule, Words, held_by, kernel, pack, unpack
from federation.crypto.prg import Keystream
from federation.crypto.ring import CHUNK_BYTES, Z64, Z128, Chunk, Ring
from federation.errors import Misuse

CHUNK_WORDS = CHUNK_BYTES // 8
LEAST_WORTH_SPREADING = 16  # chunks of some 100 us each; waking a thread costs half of one, touching new memory more
MOST_BITS = 31  # a lane's number is a positive int32, and a chunk of them adds up exactly in float64
LANES = (9, 4, 7, 3, 5, 2, 1)  # from those that take the fewest bytes of an entry to those that take the most
TRAILING_ELEMENTS = 2
_EXACT_BITS = 53  # integers below 2^53 are exact in float64
_PIECE = CHUNK_WORDS * 2  # entries that are worked on at once: everything about them stays in a core's cache
_WORD = (1 << 64) - 1
_LABEL = b"federation/encoding/packing/v1"
_ROUNDING = b"federation/encoding/rounding/v1"

Numbers = NDArray[np.float32] | NDArray[np.float64]


class BadTotal(ValueError):
    """Words that are no sum of so many encoded vectors; the text says why and never quotes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One party's vector as it goes under the masks.

    Attributes:
        words: little-endian, 8 bytes each, the low one of an element first; read-only.
        clipped: entries that lay outside [-clip, clip].
        norm_clipped: whether the vector was shortened to the norm before that.
    """

    words: memoryview
    clipped: int
    norm_clipped: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """What a sum of encoded vectors says.

    Attributes:
        mean: of the entries, weighted by the contributors' weights; computed in float64, rounded once to float32.
        low: the least of them.
        high: the largest.
        weight: sum of the weights.
        clipped: entries that were clipped, of all contributors together.
        weight_most: as the packing has it.
    """

    mean: NDArray[np.float32]
    low: float
    high: float
    weight: int
    clipped: int
    weight_most: int

    @property
    def values(self) -> NDArray[np.float64]:
        """Sum over the contributors of weight / weight_most times entry."""
        return self.mean.astype(np.float64) * (self.weight / self.weight_most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How a vector becomes elements; the same for all who sum.

    Attributes:
        length: entries.
        lanes: numbers to an element, 1 to 4 to one of 64 bits, 5, 7 or 9 to one of 128.
        bits: of each number, 2 to 31.
        clip: entries are cut to [-clip, clip].
        parties: most vectors that are ever added up.
        weight_most: largest weight of one party; 1 where all count alike.
        stochastic: rounds up with the probability of the fraction, so that few bits leave no bias.
    """

    length: int
    lanes: int
    bits: int
    clip: float
    parties: int
    weight_most: int = 1
    stochastic: bool = False

    def __post_init__(self) -> None:
        if self.length < 1 or self.parties < 1 or self.weight_most < 1:
            raise Misuse("a packing has at least one entry, one party and weights from 1 on")
        if self.lanes not in LANES or not 2 <= self.bits <= MOST_BITS:
            raise Misuse(f"a packing has {', '.join(map(str, sorted(LANES)))} lanes and 2 to {MOST_BITS} bits")
        if self.parties * self.top >= 1 << min(self.lane_bits, _EXACT_BITS):
            raise Misuse(
                f"{self.bits} bits of {self.parties} parties do not fit {self.lanes} lanes of {self.lane_bits} bits",
                hint="fewer bits or fewer lanes",
            )
        if self.parties * max(self.weight_most, self.length) >= 1 << 64:
            raise Misuse("the weights, or the counts of clipped entries, of all parties do not fit a word")
        if not (0 < self.clip < math.inf and 0 < self.scale < math.inf):
            raise Misuse("clip is a positive number, neither so small nor so large that steps have no size")

    @classmethod
    def standard(
        cls, length: int, parties: int, bits: int, *, clip: float, weight_most: int = 1, stochastic: bool = False
    ) -> Packing:
        """Return the packing of fewest bytes for these bits of so many parties. Raises Misuse if none holds them."""
        fitting = (lanes for lanes in LANES if parties * ((1 << bits) - 1) < 1 << _ring(lanes).bits // lanes)
        return cls(
            length=length,
            lanes=next(fitting, 1),
            bits=bits,
            clip=clip,
            parties=parties,
            weight_most=weight_most,
            stochastic=stochastic,
        )

    @property
    def ring(self) -> Ring:
        """What the elements are of: the ring of a spec."""
        return _ring(self.lanes)

    @property
    def lane_bits(self) -> int:
        """Bits of a lane, "kappa"."""
        return self.ring.bits // self.lanes

    @property
    def top(self) -> int:
        """The largest number of one party in a lane, which stands for `clip`."""
        return (1 << self.bits) - 1

    @property
    def scale(self) -> float:
        """Steps to a unit, "s"; an entry is rounded by at most half a step, by less than one if stochastic."""
        return self.top / (2 * self.clip)

    @property
    def elements(self) -> int:
        """The elements of an encoded vector, those that check included: the length of a spec over `ring`."""
        payload = self._packed + TRAILING_ELEMENTS
        return payload + -(-payload // self._payload)

    @property
    def size_bytes(self) -> int:
        """Bytes of an encoded vector."""
        return self.elements * self.ring.element_bytes

    @property
    def digest(self) -> bytes:
        """32 bytes over everything that the words depend on; it belongs into the spec that binds the masks."""
        hashed = hashlib.sha256(len(_LABEL).to_bytes(4, "big") + _LABEL)
        integers = (self.length, self.lanes, self.bits, self.parties, self.weight_most, int(self.stochastic))
        for part in (*(str(number).encode() for number in integers), struct.pack(">d", self.clip)):
            hashed.update(len(part).to_bytes(4, "big") + part)
        return hashed.digest()

    def encode(self, values: Numbers, *, weight: int = 1, norm: float | None = None, entropy: bytes = b"") -> Encoded:
        """Return `values` as words: shortened to `norm` if longer, cut to [-clip, clip], times weight / weight_most.

        Rounding is that of float64, ties to even; sums and products before it are off by less than 2^-20 of a step.

        Args:
            values: shape (length,), float32 or float64, finite.
            weight: 1 to weight_most.
            norm: largest length of the vector in the sense of L2, or None.
            entropy: 32 secret bytes for this one vector if the packing is stochastic, else none.

        Raises:
            Misuse: another shape or type, a number that is not finite, another weight, norm or entropy.
        """
        self._refuse(values, weight, norm, entropy)
        shrink = 1.0 if norm is None else min(1.0, norm / max(_length(values), norm))
        stream = Keystream(agreement.derive(entropy, _ROUNDING + self.digest)) if self.stochastic else None
        factor = self.scale * (weight / self.weight_most)
        words = np.empty(self.size_bytes // 8, dtype="<u8")
        clipped = [0] * -(-len(words) // CHUNK_WORDS)

        def fill(places: range) -> None:
            for place in places:
                clipped[place] = self._filled(values, words, place, shrink, factor, stream)

        if stream is None:
            share(fill, len(clipped), LEAST_WORTH_SPREADING)
        else:  # its bytes are given out one after another
            fill(range(len(clipped)))
        for slot, number in enumerate((weight, sum(clipped)), self._packed):
            place, within = divmod(slot, self._payload)
            block = words[place * CHUNK_WORDS : (place + 1) * CHUNK_WORDS]
            self._put(block, within, number)
            self._put(block, -1, self._element(block, -1) + number)
        return Encoded(words=words.data.cast("B").toreadonly(), clipped=sum(clipped), norm_clipped=shrink < 1)

    def decode(self, total: Sequence[Chunk], contributors: int) -> Decoded:
        """Return what the sum of `contributors` encoded vectors says.

        Args:
            total: in chunks of CHUNK_BYTES, the last one shorter if need be.
            contributors: 1 to `parties`.

        Raises:
            BadTotal: another length, a check word that differs, or a number that no such sum has.
            Misuse: fewer than one or more than `parties` contributors.
        """
        self._check_sizes(total, contributors)
        ends = (divmod(slot, self._payload) for slot in range(self._packed, self._packed + TRAILING_ELEMENTS))
        weight, clipped = (self._element(_words(total[place]), within) for place, within in ends)
        mean = np.empty(self.length, dtype=np.float32)
        steps, middle = self.scale * (weight / self.weight_most) or 1.0, contributors * self.top / 2
        extremes = [(0, 0)] * len(total)

        def read(places: range) -> None:
            for place in places:
                held = self._read(_words(total[place]), place, contributors, mean, steps)
                extremes[place] = held.low, held.high

        share(read, len(total), LEAST_WORTH_SPREADING)
        entered = extremes[: -(-self._packed // self._payload)]  # the others hold no entries
        low, high = min(low for low, _ in entered), max(high for _, high in entered)
        if not contributors <= weight <= contributors * self.weight_most:
            raise BadTotal("a sum of weights that these contributors cannot have")
        if clipped > contributors * self.length:
            raise BadTotal("more clipped entries than the contributors have")
        return Decoded(
            mean=mean,
            low=(low - middle) / steps,
            high=(high - middle) / steps,
            weight=weight,
            clipped=clipped,
            weight_most=self.weight_most,
        )

    def sums(self, total: Sequence[Chunk], contributors: int) -> Words:
        """Return the lanes of a sum as integers, shape (length,); raises as `decode`, but looks at no weight."""
        self._check_sizes(total, contributors)
        read = [self._unpacked(_words(chunk), place, contributors)[0] for place, chunk in enumerate(total)]
        return np.concatenate(read).astype(np.uint64)

    @property
    def _packed(self) -> int:
        return -(-self.length // self.lanes)

    @property
    def _payload(self) -> int:
        """Elements of a chunk without the one that checks."""
        return CHUNK_WORDS // self._unit - 1

    @property
    def _unit(self) -> int:
        """Words of an element."""
        return self.ring.element_bytes // 8

    def _element(self, block: Words, within: int) -> int:
        """Return one element of a chunk; -1 is the last one."""
        words = block.reshape(-1, self._unit)[within].tolist()
        return sum(int(word) << 64 * place for place, word in enumerate(words))

    def _put(self, block: Words, within: int, element: int) -> None:
        low_first = (element >> 64 * place & _WORD for place in range(self._unit))
        block.reshape(-1, self._unit)[within] = np.fromiter(low_first, dtype=np.uint64)

    def _within(self, block: Words, place: int) -> tuple[int, int]:
        """Return (number of a chunk's first element, those that check not counted, how many of it hold entries)."""
        first = place * self._payload
        return first, max(0, min(len(block) // self._unit - 1, self._packed - first))

    def _filled(
        self, values: Numbers, words: Words, place: int, shrink: float, factor: float, stream: Keystream | None
    ) -> int:
        """Write one chunk, zeros where it has no entries; return how many entries were clipped."""
        block = words[place * CHUNK_WORDS : (place + 1) * CHUNK_WORDS]
        first, data = self._within(block, place)
        entries = values[first * self.lanes : (first + data) * self.lanes]
        unit = self._unit
        block[max(0, data - 1) * unit :] = 0  # the last element of entries may have lanes to spare
        loops = kernel(len(entries)) if stream is None else None
        if loops is not None:
            rule = Rule(shrink=shrink, clip=self.clip, factor=factor, middle=self.top / 2)
            found = loops.fill(entries, self.lanes, rule, block[: data * unit])
            if found is None:
                raise _not_finite()
            self._put(block, -1, found[0])
            return found[1]
        check = clipped = 0
        for start, end in _pieces(data, self.lanes):
            piece = entries[start * self.lanes : end * self.lanes]
            numbers, cut = self._numbers(piece, shrink, factor, stream)
            check += int(numbers.sum())  # exact: at most 2^31 * 2^16
            clipped += cut
            pack(numbers, self.lanes, block[start * unit : end * unit])
        self._put(block, -1, check)
        return clipped

    def _refuse(self, values: Numbers, weight: int, norm: float | None, entropy: bytes) -> None:
        if values.shape != (self.length,) or values.dtype not in (np.float32, np.float64):
            raise Misuse(f"{self.length} numbers in float32 or float64 expected, got {values.shape} of {values.dtype}")
        if not 1 <= weight <= self.weight_most:
            raise Misuse(f"a weight lies between 1 and {self.weight_most}")
        if norm is not None and not 0 < norm < math.inf:
            raise Misuse("a norm is a positive number")
        if len(entropy) != (32 if self.stochastic else 0):
            raise Misuse("stochastic rounding takes 32 bytes of entropy, any other none")

    def _numbers(
        self, entries: Numbers, shrink: float, factor: float, stream: Keystream | None
    ) -> tuple[NDArray[np.float64], int]:
        """Return the whole numbers of these entries, and how many of these were clipped."""
        low, high = _extremes(entries)
        numbers, clipped = entries.astype(np.float64), 0
        if shrink < 1:
            numbers *= shrink
        if low * shrink < -self.clip or high * shrink > self.clip:
            clipped = int(np.count_nonzero(np.abs(numbers) > self.clip))
            np.clip(numbers, -self.clip, self.clip, out=numbers)
        numbers *= factor
        numbers += self.top / 2
        if stream is None:
            np.rint(numbers, out=numbers)
        else:
            uniform = stream.words(-(-len(numbers) // 2) * 8).view("<u4")[: len(numbers)]
            numbers += uniform * 2.0**-32
            np.minimum(numbers, self.top, out=numbers)
            np.floor(numbers, out=numbers)
        return numbers, clipped

    def _check_sizes(self, total: Sequence[Chunk], contributors: int) -> None:
        if not 1 <= contributors <= self.parties:
            raise Misuse(f"1 to {self.parties} contributors expected, got {contributors}")
        size, sizes = self.size_bytes, [len(chunk) for chunk in total]
        if sum(sizes) != size:
            raise BadTotal(f"a total has {size} bytes, this one has {sum(sizes)}")
        if sizes != [min(8 * CHUNK_WORDS, size - start) for start in range(0, size, 8 * CHUNK_WORDS)]:
            raise BadTotal(f"a total comes in chunks of {CHUNK_BYTES} bytes")

    def _read(self, block: Words, place: int, contributors: int, mean: NDArray[np.float32], steps: float) -> Held:
        """Write the entries of one chunk into `mean`; return what its lanes hold, checked."""
        first, data = self._within(block, place)
        part, middle = mean[first * self.lanes : (first + data) * self.lanes], contributors * self.top / 2
        loops = kernel(len(part))
        if loops is not None:
            held = loops.read(block[: data * self._unit], self.lanes, middle, steps, part)
            self._judge(held, block, data, contributors)
        else:
            numbers, held = self._unpacked(block, place, contributors)
            exact = numbers.astype(np.float64)  # below 2^53
            exact -= middle
            exact /= steps  # not times 1 / steps: what lies halfway between two float32 would not
            with np.errstate(over="ignore"):  # a clip beyond float32 has means beyond it: infinite, here as there
                part[...] = exact
        return held

    def _unpacked(self, block: Words, place: int, contributors: int) -> tuple[NDArray[Any], Held]:
        """Return (the lanes of one chunk that hold entries, what they hold), checked."""
        first, data = self._within(block, place)
        words = block[: data * self._unit]
        numbers, left = unpack(words, self.lanes), max(0, self.length - first * self.lanes)
        held = held_by(words, numbers, self.lanes, left)
        self._judge(held, block, data, contributors)
        return numbers[:left], held

    def _judge(self, held: Held, block: Words, data: int, contributors: int) -> None:
        """Raise BadTotal unless a chunk whose first `data` elements hold this may be one of a sum."""
        others = sum(self._element(block, place) for place in range(data, len(block) // self._unit - 1))
        if (held.total + others - self._element(block, -1)) % (1 << self.ring.bits):
            raise BadTotal("a check element that differs from the sum of its chunk")
        if max(held.high, held.spare) > contributors * self.top:
            raise BadTotal("a number that is larger than all contributors together can make it")
        if held.beyond:
            raise BadTotal("a bit that belongs to no lane")
        if held.spare:
            raise BadTotal("a number in a lane that holds none")


def _words(chunk: Chunk) -> Words:
    """Return a chunk's words; they are asked for one chunk at a time, since it may rest in a file."""
    return np.frombuffer(chunk, dtype="<u8")


def _length(values: Numbers) -> float:
    """Return the L2 norm; numbers whose squares do not fit a float64 are scaled first."""
    peak = max(map(abs, _extremes(values)))
    unit = peak if not 1e-140 < peak < 1e140 else 1.0
    squares = 0.0
    for start in range(0, len(values), _PIECE):
        piece = values[start : start + _PIECE].astype(np.float64)
        if unit != 1.0 and unit:
            piece /= unit
        piece *= piece
        squares += float(piece.sum())
    return math.sqrt(squares) * unit


def _extremes(values: Numbers) -> tuple[float, float]:
    with np.errstate(invalid="ignore"):
        low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _not_finite()
    return low, high


def _not_finite() -> Misuse:
    return Misuse("a vector holds a number that is not finite", hint="look for a division by zero or a rate too high")


def _pieces(elements: int, lanes: int) -> Iterator[tuple[int, int]]:
    """Yield the ends of pieces of nearly equal length, of at most _PIECE entries."""
    count = -(-elements * lanes // _PIECE)
    size = -(-elements // count) if count else 1
    for start in range(0, elements, size):
        yield start, min(start + size, elements)


def _ring(lanes: int) -> Ring:
    return Z128 if lanes in WIDE else Z64

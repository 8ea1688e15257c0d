"""Numbers in fixed point, several to a 64-bit word: what a model's update is when it is summed under masks.

A word has L lanes of kappa = 64 // L bits: word = sum of q_l * 2^(kappa * l), where q = rint((x + clip) * s) has `bits`
bits and s = (2^bits - 1) / (2 * clip). No lane of a sum of at most `parties` vectors reaches its neighbour, so sums of
words are sums of numbers, bit by bit. Entries fill the lanes of a word from the lowest, then the next word; lanes that
are left over hold 0. After them come two whole words, the weight and how many entries were clipped, so that both are
known of all together and of nobody alone. The last word of every chunk of CHUNK_BYTES, and of the vector, is the sum of
all that the chunk holds: a total that was damaged, or from which a mask did not come off, does not fit it.

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
from federation.crypto.lanes import Held, Rule, Words, held_by, kernel, pack, unpack
from federation.crypto.prg import Keystream
from federation.crypto.ring import CHUNK_BYTES, Chunk
from federation.errors import Misuse

CHUNK_WORDS = CHUNK_BYTES // 8
LEAST_WORTH_SPREADING = 16  # chunks of some 100 us each; waking a thread costs half of one, touching new memory more
MOST_BITS = 31  # a lane's number is a positive int32, and a chunk of them adds up exactly in float64
MOST_LANES = 4
TRAILING_WORDS = 2
_EXACT_BITS = 53  # integers below 2^53 are exact in float64
_PAYLOAD = CHUNK_WORDS - 1
_PIECE = CHUNK_WORDS * 2  # entries that are worked on at once: everything about them stays in a core's cache
_LABEL = b"federation/encoding/packing/v1"
_ROUNDING = b"federation/encoding/rounding/v1"

Numbers = NDArray[np.float32] | NDArray[np.float64]


class BadTotal(ValueError):
    """Words that are no sum of so many encoded vectors; the text says why and never quotes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One party's vector as it goes under the masks.

    Attributes:
        words: little-endian, 8 bytes each; read-only.
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
    """How a vector becomes words; the same for all who sum.

    Attributes:
        length: entries.
        lanes: numbers to a word, 1 to 4.
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
        if not 1 <= self.lanes <= MOST_LANES or not 2 <= self.bits <= MOST_BITS:
            raise Misuse(f"a packing has 1 to {MOST_LANES} lanes and 2 to {MOST_BITS} bits")
        if self.parties * self.top >= 1 << min(self.lane_bits, _EXACT_BITS):
            raise Misuse(
                f"{self.bits} bits of {self.parties} parties do not fit {self.lanes} lanes to a word",
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
        """Return the packing of as many lanes as hold these bits of so many parties. Raises Misuse if not even one."""
        fitting = (lanes for lanes in range(MOST_LANES, 1, -1) if parties * ((1 << bits) - 1) < 1 << 64 // lanes)
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
    def lane_bits(self) -> int:
        """Bits of a lane, "kappa"."""
        return 64 // self.lanes

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
        """The words of an encoded vector, check words included: the length of a spec over Z_2^64."""
        payload = self._packed + TRAILING_WORDS
        return payload + -(-payload // _PAYLOAD)

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
        words = np.empty(self.elements, dtype="<u8")
        clipped = [0] * -(-len(words) // CHUNK_WORDS)

        def fill(places: range) -> None:
            for place in places:
                clipped[place] = self._filled(values, words, place, shrink, factor, stream)

        if stream is None:
            share(fill, len(clipped), LEAST_WORTH_SPREADING)
        else:  # its bytes are given out one after another
            fill(range(len(clipped)))
        for slot, number in enumerate((weight, sum(clipped)), self._packed):
            place, within = divmod(slot, _PAYLOAD)
            block = words[place * CHUNK_WORDS : (place + 1) * CHUNK_WORDS]
            block[within] = number
            block[-1] += np.uint64(number)
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
        blocks = self._blocks(total, contributors)
        ends = (divmod(slot, _PAYLOAD) for slot in range(self._packed, self._packed + 2))
        weight, clipped = (int(blocks[place][within]) for place, within in ends)
        mean = np.empty(self.length, dtype=np.float32)
        steps, middle = self.scale * (weight / self.weight_most) or 1.0, contributors * self.top / 2
        extremes = [(0, 0)] * len(blocks)

        def read(places: range) -> None:
            for place in places:
                held = self._read(blocks[place], place, contributors, mean, steps)
                extremes[place] = held.low, held.high

        share(read, len(blocks), LEAST_WORTH_SPREADING)
        entered = extremes[: -(-self._packed // _PAYLOAD)]  # the others hold no entries
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
        blocks = self._blocks(total, contributors)
        read = [self._unpacked(block, place, contributors)[0] for place, block in enumerate(blocks)]
        return np.concatenate(read).astype(np.uint64)

    @property
    def _packed(self) -> int:
        return -(-self.length // self.lanes)

    def _within(self, block: Words, place: int) -> tuple[int, int]:
        """Return (number of a chunk's first word, check words not counted, how many of its words hold entries)."""
        first = place * _PAYLOAD
        return first, max(0, min(len(block) - 1, self._packed - first))

    def _filled(
        self, values: Numbers, words: Words, place: int, shrink: float, factor: float, stream: Keystream | None
    ) -> int:
        """Write one chunk, zeros where it has no entries; return how many entries were clipped."""
        block = words[place * CHUNK_WORDS : (place + 1) * CHUNK_WORDS]
        first, data = self._within(block, place)
        entries = values[first * self.lanes : (first + data) * self.lanes]
        block[max(0, data - 1) :] = 0  # the last word of entries may have lanes to spare
        loops = kernel(len(entries)) if stream is None else None
        if loops is not None:
            rule = Rule(shrink=shrink, clip=self.clip, factor=factor, middle=self.top / 2)
            found = loops.fill(entries, self.lanes, rule, block[:data])
            if found is None:
                raise _not_finite()
            block[-1], clipped = found
            return clipped
        check = clipped = 0
        for start, end in _pieces(data, self.lanes):
            piece = entries[start * self.lanes : end * self.lanes]
            numbers, cut = self._numbers(piece, shrink, factor, stream)
            check += int(numbers.sum())  # exact: at most 2^31 * 2^16
            clipped += cut
            pack(numbers, self.lanes, block[start:end])
        block[-1] = check
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

    def _blocks(self, total: Sequence[Chunk], contributors: int) -> list[Words]:
        if not 1 <= contributors <= self.parties:
            raise Misuse(f"1 to {self.parties} contributors expected, got {contributors}")
        size, sizes = 8 * self.elements, [len(chunk) for chunk in total]
        if sum(sizes) != size:
            raise BadTotal(f"a total has {size} bytes, this one has {sum(sizes)}")
        if sizes != [min(8 * CHUNK_WORDS, size - start) for start in range(0, size, 8 * CHUNK_WORDS)]:
            raise BadTotal(f"a total comes in chunks of {CHUNK_BYTES} bytes")
        return [np.frombuffer(chunk, dtype="<u8") for chunk in total]

    def _read(self, block: Words, place: int, contributors: int, mean: NDArray[np.float32], steps: float) -> Held:
        """Write the entries of one chunk into `mean`; return what its lanes hold, checked."""
        first, data = self._within(block, place)
        part, middle = mean[first * self.lanes : (first + data) * self.lanes], contributors * self.top / 2
        loops = kernel(len(part))
        if loops is not None:
            held = loops.read(block[:data], self.lanes, middle, steps, part)
            self._judge(held, block, data, contributors)
        else:
            numbers, held = self._unpacked(block, place, contributors)
            exact = numbers.astype(np.float64)  # below 2^53
            exact -= middle
            exact /= steps  # not times 1 / steps: what lies halfway between two float32 would not
            part[...] = exact
        return held

    def _unpacked(self, block: Words, place: int, contributors: int) -> tuple[NDArray[Any], Held]:
        """Return (the lanes of one chunk that hold entries, what they hold), checked."""
        first, data = self._within(block, place)
        numbers, left = unpack(block[:data], self.lanes), max(0, self.length - first * self.lanes)
        held = held_by(block[:data], numbers, self.lanes, left)
        self._judge(held, block, data, contributors)
        return numbers[:left], held

    def _judge(self, held: Held, block: Words, data: int, contributors: int) -> None:
        """Raise BadTotal unless a chunk whose first `data` words hold this may be one of a sum."""
        if (held.total + sum(int(word) for word in block[data:-1]) - int(block[-1])) % (1 << 64):
            raise BadTotal("a check word that differs from the sum of its chunk")
        if max(held.high, held.spare) > contributors * self.top:
            raise BadTotal("a number that is larger than all contributors together can make it")
        if held.beyond:
            raise BadTotal("a bit that belongs to no lane")
        if held.spare:
            raise BadTotal("a number in a lane that holds none")


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


def _pieces(words: int, lanes: int) -> Iterator[tuple[int, int]]:
    """Yield the ends of pieces of nearly equal length, of at most _PIECE entries."""
    count = -(-words * lanes // _PIECE)
    size = -(-words // count) if count else 1
    for start in range(0, words, size):
        yield start, min(start + size, words)

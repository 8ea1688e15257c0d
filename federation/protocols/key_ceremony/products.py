"""Products in two shares: the sender's numbers times the chooser's, modulo 16-bit numbers, by transfers.

The sender holds x, the chooser y. For bit b of y the sender's pads are z and o; it sends z - o + 2^b x, so the chooser,
who holds z for a 0 and o for a 1, can make z + y_b 2^b x. Its sum over b and minus the sum of all z are the shares.
A word of transfers is one bit of 64 numbers; numbers whose moduli have equally many bits stand together in a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from federation.crypto.ot import ROWS, BadTransfer
from federation.errors import Misuse
from federation.protocols.key_ceremony.residues import Residues, bits_of

Words = NDArray[np.uint64]
Narrow = NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Numbers whose moduli have equally many bits.

    Attributes:
        bits: of each number.
        words: the first word of transfers, and behind the last; bit b of lane (i, w) is transfer (i, b * lanes + w).
        moduli: of lanes (1 or 64, lanes).
        places: (64, lanes): which number, of all in a flat list; behind the last one for lanes that stay empty.
    """

    bits: int
    words: slice
    moduli: Narrow
    places: NDArray[np.intp]

    def of(self, transfers: Residues) -> Residues:
        """Return what belongs to this block of (64, words) as (64, bits, lanes)."""
        return transfers[:, self.words].reshape(ROWS, self.bits, -1)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where numbers modulo `moduli`, `times` of each, stand among the transfers.

    Attributes:
        words: of transfers in all.
        transfer_moduli: (1 or 64, words), for `ot.choose` and `ot.answer`.
    """

    moduli: tuple[int, ...]
    times: int
    blocks: tuple[Block, ...]
    words: int
    transfer_moduli: Words

    def choices(self, values: Residues) -> Words:
        """Return the bits of the values, (moduli, times), as words of choices."""
        found = np.empty(self.words, dtype=np.uint64)
        padded = self._padded(values)
        for block in self.blocks:
            lanes = padded[block.places]
            bits = lanes[None] >> np.arange(block.bits, dtype=np.uint16)[:, None, None] & np.uint16(1)
            packed = np.packbits(bits.astype(np.uint8), axis=1, bitorder="little")
            found[block.words] = np.ascontiguousarray(packed.swapaxes(1, 2)).view("<u8").reshape(-1)
        return found

    def prepared(self, zeros: Residues, ones: Residues) -> tuple[bytes, Residues]:
        """Sender: return what corrections are made of, 2 bytes a transfer, and its share, before x is known."""
        differences = np.empty((ROWS, self.words), dtype="<u2")
        share = np.zeros(len(self.moduli) * self.times + 1, dtype=np.uint16)
        for block in self.blocks:
            modulus = block.moduli[:, None]
            zero = block.of(zeros).astype(np.uint32)
            block.of(differences)[:] = _below(zero + modulus - block.of(ones), modulus)
            share[block.places] = _below(block.moduli - zero.sum(axis=1, dtype=np.uint32) % block.moduli, block.moduli)
        return differences.tobytes(), share[:-1].reshape(len(self.moduli), self.times)

    def corrections(self, differences: bytes, x: Residues) -> bytes:
        """Sender: return the message that makes these differences products with `x`, (moduli, times)."""
        rows = np.frombuffer(differences, dtype="<u2").reshape(ROWS, self.words)
        said, padded = np.empty_like(rows), self._padded(x)
        for block in self.blocks:
            before, after = block.of(rows), block.of(said)
            term = padded[block.places].astype(np.uint32)
            for bit in range(block.bits):
                after[:, bit] = _below(before[:, bit] + term, block.moduli)
                term = _below(term + term, block.moduli)
        return said.tobytes()

    def collected(self, y: Residues, pads: bytes, message: bytes) -> Residues:
        """Chooser: return its share, (moduli, times), of the products of x with `y`, which it chose by.

        Raises:
            BadTransfer: corrections of another length, or not below their moduli.
        """
        if len(message) != self.correction_bytes:
            raise BadTransfer("corrections of another length")
        said, own = (np.frombuffer(data, dtype="<u2").reshape(ROWS, self.words) for data in (message, pads))
        if (said >= self.transfer_moduli).any():
            raise BadTransfer("corrections that are not below their moduli")
        share, padded = np.zeros(len(self.moduli) * self.times + 1, dtype=np.uint16), self._padded(y)
        for block in self.blocks:
            told, pad, chosen = block.of(said), block.of(own), padded[block.places]
            total = pad.sum(axis=1, dtype=np.uint32)
            for bit in range(block.bits):
                total += told[:, bit] & (np.uint16(0) - (chosen >> np.uint16(bit) & np.uint16(1)))
            share[block.places] = total % block.moduli
        return share[:-1].reshape(len(self.moduli), self.times)

    @property
    def correction_bytes(self) -> int:
        """Length of the sender's message."""
        return 2 * ROWS * self.words

    def _padded(self, values: Residues) -> Residues:
        return np.append(values.reshape(-1), np.uint16(0))


@lru_cache(maxsize=8)
def layout_of(moduli: tuple[int, ...], times: int) -> Layout:
    """Return the layout of numbers modulo `moduli`: once each, or a multiple of 64 times. Raises Misuse for others."""
    if times != 1 and times % ROWS:
        raise Misuse(f"numbers are multiplied alone, or in a multiple of {ROWS}")
    blocks, words = [], 0
    for bits in sorted({bits_of(modulus) for modulus in moduli}):
        chosen = np.array([place for place, modulus in enumerate(moduli) if bits_of(modulus) == bits])
        of_lane = np.append(np.array(moduli, dtype=np.uint32), np.uint32(1))
        if times == 1:  # 64 moduli a word, the last word filled up
            filled = np.append(chosen, np.full(-len(chosen) % ROWS, len(moduli)))
            places = filled.reshape(ROWS, -1)
            of_lane = of_lane[places]
        else:
            inner = np.arange(times).reshape(ROWS, 1, -1)
            places = (chosen[None, :, None] * times + inner).reshape(ROWS, -1)
            of_lane = np.repeat(of_lane[chosen], times // ROWS)[None]
        end = words + bits * places.shape[1]
        blocks.append(Block(bits=bits, words=slice(words, end), moduli=of_lane, places=places))
        words = end
    spread = [np.tile(block.moduli.astype(np.uint64), block.bits) for block in blocks]
    return Layout(moduli, times, tuple(blocks), words, np.concatenate(spread, axis=1))


def _below(numbers: Narrow, moduli: Narrow) -> Narrow:
    """Return numbers below twice their moduli, reduced: a smaller one wraps round and is then no minimum."""
    reduced: Narrow = np.minimum(numbers, numbers - moduli)
    return reduced

"""AES-256-CTR as a stream of uniform bytes: one seed, one stream, each byte given out once, in pieces.

The counter starts at zero because a seed is used for one stream only: whoever derives seeds binds the use into them.
The same stream may be entered further on, by another thread or to check one chunk again: the same bytes at the same
place. Nothing here or near a mask comes from a generator of numpy or of the `random` module; a test reads the source
for it.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from federation.crypto.ring import CHUNK_BYTES
from federation.errors import Misuse

PIECE_BYTES = CHUNK_BYTES
BLOCK_BYTES = 16
_ZEROS = memoryview(bytes(PIECE_BYTES))


class Keystream:
    """The stream of one 32-byte seed.

    A piece is a view into the stream's buffer, valid until the next one is asked for: long streams cost no memory.

    Args:
        seed: 32 bytes, used for this stream only.
        start: the first byte of the stream that is wanted, a multiple of 16.
        buffer: what `room(size)` made, to be shared with other streams; then a piece is valid until any of them gives
            another. Hundreds of streams through one buffer stay in the processor's cache.
    """

    __slots__ = ("_buffer", "_encryptor", "_view", "_zeros")

    def __init__(self, seed: bytes, start: int = 0, *, buffer: bytearray | None = None) -> None:
        if len(seed) != 32:
            raise Misuse(f"a keystream's seed has 32 bytes, this one has {len(seed)}")
        block, within = divmod(start, BLOCK_BYTES)
        if within or not 0 <= block < 1 << 64:
            raise Misuse(f"a keystream is entered at a multiple of {BLOCK_BYTES} bytes, not at {start}")
        self._encryptor = Cipher(AES(seed), CTR(block.to_bytes(BLOCK_BYTES, "big"))).encryptor()
        self._buffer = bytearray() if buffer is None else buffer
        self._zeros, self._view = _ZEROS[:0], np.empty(0, dtype="<u8")

    def words(self, size: int) -> NDArray[np.uint64]:
        """Return the next `size` bytes as a flat array of little-endian words.

        Args:
            size: bytes, a multiple of 8 of at most PIECE_BYTES.

        Raises:
            Misuse: another size.
        """
        if not 0 <= size <= PIECE_BYTES or size % 8:
            raise Misuse(
                f"a piece of keystream has whole words or whole blocks, at most {PIECE_BYTES} bytes, not {size}"
            )
        if size != len(self._zeros):  # a long stream is asked for pieces of one size
            if len(self._buffer) < size + BLOCK_BYTES - 1:
                self._buffer = room(size)
            self._zeros, self._view = _ZEROS[:size], np.frombuffer(self._buffer, dtype="<u8", count=size // 8)
        self._encryptor.update_into(self._zeros, self._buffer)
        return self._view

    def piece(self, size: int) -> NDArray[np.uint64]:
        """Return the next `size` bytes, whole blocks, as elements of Z_2^128, shape (size / 16, 2).

        Raises:
            Misuse: not a multiple of 16 of at most PIECE_BYTES.
        """
        if size % BLOCK_BYTES:
            raise Misuse(f"a piece of elements has whole blocks of {BLOCK_BYTES} bytes, not {size}")
        return self.words(size).reshape(-1, 2)


def room(size: int) -> bytearray:
    """Return a buffer for pieces of up to `size` bytes: the cipher asks for one block of slack."""
    return bytearray(size + BLOCK_BYTES - 1)

"""AES-256-CTR as a stream of uniform bytes: one seed, one stream, each byte given out once, in pieces.

The counter starts at zero because a seed is used for one stream only: whoever derives seeds binds the use into them.
Nothing here or near a mask comes from a generator of numpy or of the `random` module; a test reads the source for it.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from federation.errors import Misuse

PIECE_BYTES = 256 * 1024
_ZEROS = bytes(PIECE_BYTES)
_BLOCK_BYTES = 16


class Keystream:
    """The stream of one 32-byte seed.

    A piece is a view into the stream's own buffer, valid until the next one is asked for: long streams cost no memory.
    """

    __slots__ = ("_buffer", "_encryptor")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise Misuse(f"a keystream's seed has 32 bytes, this one has {len(seed)}")
        self._encryptor = Cipher(AES(seed), CTR(bytes(_BLOCK_BYTES))).encryptor()
        self._buffer = bytearray()

    def piece(self, size: int) -> NDArray[np.uint64]:
        """Return the next `size` bytes as ring elements, shape (size / 16, 2).

        Args:
            size: bytes, a multiple of 16 of at most PIECE_BYTES.

        Raises:
            Misuse: another size.
        """
        if not 0 <= size <= PIECE_BYTES or size % _BLOCK_BYTES:
            raise Misuse(f"a piece of keystream has whole blocks and at most {PIECE_BYTES} bytes, not {size}")
        if len(self._buffer) < size + _BLOCK_BYTES - 1:
            self._buffer = bytearray(size + _BLOCK_BYTES - 1)  # update_into asks for one block of slack
        self._encryptor.update_into(memoryview(_ZEROS)[:size], self._buffer)
        return np.frombuffer(self._buffer, dtype="<u8", count=size // 8).reshape(-1, 2)

"""AES-256 in counter mode as a stream of uniform bytes: one seed, one stream, each byte given out once, in pieces.

A stream is cut into segments of 1 MiB. Segment s is AES-256-CTR from the counter block s (12 bytes) | 2 (4 bytes): the
very bytes that AES-256-GCM under the nonce s adds to a plaintext of zeros. OpenSSL makes these with the widest vector
instructions that a processor has, up to twice as fast as its plain counter mode; GCM's tag is not used, and a place
within a segment is entered in plain counter mode. No counter block comes twice: segments have other first bytes.

A seed is used for one stream only: whoever derives seeds binds the use into them. The same stream may be entered
further on, by another thread or to check one chunk again. Nothing here or near a mask comes from a generator of numpy
or of the `random` module; a test reads the source for it.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, GCM
from numpy.typing import NDArray

from federation.crypto.ring import CHUNK_BYTES
from federation.errors import Misuse

PIECE_BYTES = 2 * CHUNK_BYTES
BLOCK_BYTES = 16
SEGMENT_BYTES = 4 * CHUNK_BYTES
FIRST_BLOCK = 2  # of every segment: GCM keeps counter 1 for its tag
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

    __slots__ = ("_buffer", "_encryptor", "_key", "_left", "_segment", "_view", "_zeros")

    def __init__(self, seed: bytes, start: int = 0, *, buffer: bytearray | None = None) -> None:
        if len(seed) != 32:
            raise Misuse(f"a keystream's seed has 32 bytes, this one has {len(seed)}")
        if start % BLOCK_BYTES or not 0 <= start < 1 << 68:
            raise Misuse(f"a keystream is entered at a multiple of {BLOCK_BYTES} bytes, not at {start}")
        self._key = AES(seed)
        self._buffer = bytearray() if buffer is None else buffer
        self._zeros, self._view = _ZEROS[:0], np.empty(0, dtype="<u8")
        self._enter(*divmod(start, SEGMENT_BYTES))

    def words(self, size: int) -> NDArray[np.uint64]:
        """Return the next `size` bytes as a flat array of little-endian words.

        Args:
            size: bytes, a multiple of 8 of at most PIECE_BYTES.

        Raises:
            Misuse: another size.
        """
        if not 0 <= size <= PIECE_BYTES or size % 8:
            raise Misuse(f"a piece of keystream has whole words and at most {PIECE_BYTES} bytes, not {size}")
        if size != len(self._zeros):  # a long stream is asked for pieces of one size
            if len(self._buffer) < size + BLOCK_BYTES - 1:
                self._buffer = room(size)
            self._zeros, self._view = _ZEROS[:size], np.frombuffer(self._buffer, dtype="<u8", count=size // 8)
        if size <= self._left:
            self._encryptor.update_into(self._zeros, self._buffer)
            self._left -= size
        else:
            self._cross(size)
        return self._view

    def _cross(self, size: int) -> None:
        """Fill the buffer from the end of one segment and the beginning of the next."""
        room_in = memoryview(self._buffer)
        before = self._left
        if before:
            self._encryptor.update_into(_ZEROS[:before], room_in)
        self._enter(self._segment + 1, 0)
        self._encryptor.update_into(_ZEROS[: size - before], room_in[before:])
        self._left -= size - before

    def _enter(self, segment: int, within: int) -> None:
        nonce = segment.to_bytes(12, "big")
        block = (FIRST_BLOCK + within // BLOCK_BYTES).to_bytes(4, "big")
        self._encryptor = Cipher(self._key, CTR(nonce + block) if within else GCM(nonce)).encryptor()
        self._segment, self._left = segment, SEGMENT_BYTES - within


def room(size: int) -> bytearray:
    """Return a buffer for pieces of up to `size` bytes: the cipher asks for one block of slack."""
    return bytearray(size + BLOCK_BYTES - 1)

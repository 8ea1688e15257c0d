"""AES-256-GCM with a nonce of zero: ONE message a key.

Two messages under one key would show how their plaintexts differ and let anybody forge a third. So there is no nonce to
choose: whoever derives the key binds into it everything that makes the message another one (what for, who to whom, in
which round), and a message that is sent again is the same bytes again.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from federation.errors import Misuse

KEY_BYTES = 32
TAG_BYTES = 16
_NONCE = bytes(12)


class BadSeal(ValueError):
    """Bytes that were not sealed under this key with this associated data, or not as they are now."""


def seal(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """Return the ciphertext and its tag, 16 bytes longer than `plaintext`, under a key that is used for nothing else.

    Args:
        key: 32 bytes, derived for this one message.
        associated: what is not hidden but must be the same when the message is opened.

    Raises:
        Misuse: the key is not 32 bytes.
    """
    return _cipher(key).encrypt(_NONCE, plaintext, associated)


def opened(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Return the plaintext.

    Raises:
        BadSeal: key, sealed bytes or associated data are not those of the sealing; nothing says which.
        Misuse: the key is not 32 bytes.
    """
    try:
        return _cipher(key).decrypt(_NONCE, sealed, associated)
    except InvalidTag:
        raise BadSeal("sealed bytes that this key and this associated data do not open") from None


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise Misuse(f"a sealing key has {KEY_BYTES} bytes, this one has {len(key)}")
    return AESGCM(key)

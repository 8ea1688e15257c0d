"""X25519 (RFC 7748) between two parties, and HKDF-SHA256 (RFC 5869) for everything that is derived from a secret.

X25519 itself accepts any 32 bytes. Here a public key is refused unless it is the one encoding (below p, top bit clear)
of a point of large order. Two different accepted keys can still agree on one secret with everybody: P and P + T, T of
low order, since private keys are multiples of 8. `representative` is equal for exactly those: it finds aliases.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from federation.errors import Misuse

PRIME = (1 << 255) - 19
# The scalar 2^254: a multiple of the cofactor, so it removes T; invertible modulo both prime orders: it keeps the rest.
_COFACTOR_CLEARER = bytes(31) + b"\x40"


class BadPublicKey(ValueError):
    """Bytes that no honest member announces as an X25519 key; the text says why and never quotes them."""


def key_pair(entropy: bytes) -> tuple[bytes, bytes]:
    """Return (private, public), 32 bytes each, of 32 secret bytes. Raises Misuse for another length."""
    return entropy, _private(entropy).public_key().public_bytes_raw()


def check_public(public: bytes) -> None:
    """Raise BadPublicKey unless `public` is the canonical encoding of a point of large order."""
    representative(public)


def canonical_point(public: bytes) -> bool:
    """Return whether `public` is 32 bytes, little-endian, below p = 2^255 - 19 (so its top bit is clear)."""
    return len(public) == 32 and int.from_bytes(public, "little") < PRIME


def representative(public: bytes) -> bytes:
    """Return 32 bytes that are equal for two keys if and only if these agree on equal secrets with everybody.

    Raises:
        BadPublicKey: the key is not canonical or of low order.
    """
    return shared(_COFACTOR_CLEARER, public)


def shared(private: bytes, peer_public: bytes) -> bytes:
    """Return the 32-byte X25519 secret; feed it to `derive`, never use it as a key.

    Raises:
        BadPublicKey: the peer's key is not canonical, or the secret would be all zero.
        Misuse: the private key is not 32 bytes.
    """
    if not canonical_point(peer_public):
        raise BadPublicKey(
            "a key of a wrong length" if len(peer_public) != 32 else "a key that is not in canonical form"
        )
    try:
        return _private(private).exchange(X25519PublicKey.from_public_bytes(peer_public))
    except ValueError:
        raise BadPublicKey("a key of low order") from None


def derive(secret: bytes, info: bytes, length: int = 32, salt: bytes = b"") -> bytes:
    """Return `length` bytes of HKDF-SHA256; `info` says what for and binds everything that must be agreed."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


def _private(private: bytes) -> X25519PrivateKey:
    if len(private) != 32:
        raise Misuse(f"an X25519 private key has 32 bytes, this one has {len(private)}")
    return X25519PrivateKey.from_private_bytes(private)

"""X25519 (RFC 7748) between two parties, and HKDF-SHA256 (RFC 5869) for everything that is derived from a secret.

X25519 itself accepts any 32 bytes. Here a public key is refused unless it is the one encoding (below p, top bit clear)
of a point of large order. Two different accepted keys can still agree on one secret with everybody: P and P + T, T of
low order, since private keys are multiples of 8. `representative` is equal for exactly those: it finds aliases.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from gmpy2 import invert, mpz

from federation.errors import Misuse

PRIME = (1 << 255) - 19
_DOUBLINGS = 3  # 8 is a multiple of every low order, on the curve and on its twist
_A24 = 121666  # (A + 2) / 4 of curve25519, y^2 = x^3 + A x^2 + x


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

    They are u(8P): 8 removes T and is invertible modulo both prime orders, so it keeps the rest. Three doublings by the
    x-only formula, which holds on the twist too (Montgomery 1987); everything here is public.

    Raises:
        BadPublicKey: the key is not canonical or of low order.
    """
    _refuse_other_forms(public)
    x, z = mpz.from_bytes(public, "little"), mpz(1)
    for _ in range(_DOUBLINGS):
        plus, minus = (x + z) ** 2 % PRIME, (x - z) ** 2 % PRIME
        x, z = plus * minus % PRIME, (plus - minus) * (minus + _A24 * (plus - minus)) % PRIME
    if not z:
        raise BadPublicKey("a key of low order")
    return int(x * invert(z, PRIME) % PRIME).to_bytes(32, "little")


def shared(private: bytes, peer_public: bytes) -> bytes:
    """Return the 32-byte X25519 secret; feed it to `derive`, never use it as a key.

    Raises:
        BadPublicKey: the peer's key is not canonical, or the secret would be all zero.
        Misuse: the private key is not 32 bytes.
    """
    return shared_each(private, (peer_public,))[0]


def shared_each(private: bytes, peers: Sequence[bytes]) -> list[bytes]:
    """Return `shared` with each of these public keys; the private key is read once, which costs as much as an exchange.

    Raises:
        BadPublicKey, Misuse: as `shared`, for the first key that has one.
    """
    for peer in peers:
        _refuse_other_forms(peer)
    mine = _private(private)
    try:
        return [mine.exchange(X25519PublicKey.from_public_bytes(peer)) for peer in peers]
    except ValueError:
        raise BadPublicKey("a key of low order") from None


def derive(secret: bytes, info: bytes, length: int = 32, salt: bytes = b"") -> bytes:
    """Return `length` bytes of HKDF-SHA256; `info` says what for and binds everything that must be agreed."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


def _refuse_other_forms(public: bytes) -> None:
    if len(public) != 32:
        raise BadPublicKey("a key of a wrong length")
    if not canonical_point(public):
        raise BadPublicKey("a key that is not in canonical form")


def _private(private: bytes) -> X25519PrivateKey:
    if len(private) != 32:
        raise Misuse(f"an X25519 private key has 32 bytes, this one has {len(private)}")
    return X25519PrivateKey.from_private_bytes(private)

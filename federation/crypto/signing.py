"""Ed25519 (RFC 8032) over `length(domain) | domain | body`, so that a signature means one kind of message only.

The body is signed as it was sent: protobuf is not canonical, so nothing is ever encoded again to check a signature.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from federation.errors import Misuse


def public_key(private: bytes) -> bytes:
    """Return the 32-byte public key of a 32-byte private key. Raises Misuse if the length is wrong."""
    return _private(private).public_key().public_bytes_raw()


def sign(private: bytes, domain: str, body: bytes) -> bytes:
    """Return the 64-byte signature of `body` under an ASCII domain tag.

    Raises:
        Misuse: the private key is not 32 bytes, or the tag is empty, not ASCII or longer than 255.
    """
    return _private(private).sign(_tagged(domain, body))


def verify(public: bytes, domain: str, body: bytes, signature: bytes) -> bool:
    """Return whether `signature` is by the owner of `public` over this body under this domain tag.

    Foreign bytes never raise: a key or a signature of a wrong length or form is False.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _tagged(domain, body))
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=4)  # a member signs with one key for as long as it runs; reading it costs as much as a signature
def _private(private: bytes) -> Ed25519PrivateKey:
    if len(private) != 32:
        raise Misuse(f"an Ed25519 private key has 32 bytes, this one has {len(private)}")
    return Ed25519PrivateKey.from_private_bytes(private)


def _tagged(domain: str, body: bytes) -> bytes:
    if not domain.isascii() or not 1 <= len(domain) <= 255:
        raise Misuse("a signature's domain tag is 1 to 255 ASCII characters")
    return len(domain).to_bytes(4, "big") + domain.encode("ascii") + body

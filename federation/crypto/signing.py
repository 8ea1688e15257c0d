"""Ed25519 (RFC 8032) over `length(domain) | domain | body`, so that a signature means one kind of message only.

The body is signed as it was sent: protobuf is not canonical, so nothing is ever encoded again to check a signature.

Every signature of the system is judged here and by one library, libsodium through PyNaCl: where two judge, they differ
at the edges ("Taming the many EdDSAs", 2020), and then honest members blame each other for what a third one signed.
Refused: S >= L, A and R of small order or not in canonical form, and A outside the subgroup of prime order. The
equation is the one without the cofactor, and R is compared as bytes. So a given R has one S, and nobody has a key under
which one signature fits many messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from nacl import bindings
from nacl.exceptions import BadSignatureError

from federation.errors import Misuse

KEY_BYTES = 32  # of a private key (RFC 8032's seed) and of a public one
SIGNATURE_BYTES = 64
MOST_KEYS = 1024  # of members, remembered as proper: to find out takes some 35 us, a signature 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A signature that is said to be by the owner of a key, and that nobody has judged yet."""

    public: bytes
    domain: str
    body: bytes = field(repr=False)
    signature: bytes

    def holds(self) -> bool:
        """Return whether it is, as `verify` does."""
        return verify(self.public, self.domain, self.body, self.signature)


def public_key(private: bytes) -> bytes:
    """Return the 32-byte public key of a 32-byte private key. Raises Misuse if the length is wrong."""
    return _pair(private)[KEY_BYTES:]


def sign(private: bytes, domain: str, body: bytes) -> bytes:
    """Return the 64-byte signature of `body` under an ASCII domain tag.

    Raises:
        Misuse: the private key is not 32 bytes, or the tag is empty, not ASCII or longer than 255.
    """
    return bindings.crypto_sign(_tagged(domain, body), _pair(private))[:SIGNATURE_BYTES]


def verify(public: bytes, domain: str, body: bytes, signature: bytes) -> bool:
    """Return whether `signature` is by the owner of `public` over this body under this domain tag.

    Foreign bytes never raise: a key or a signature of a wrong length or form is False.
    """
    if len(signature) != SIGNATURE_BYTES or not is_proper(public):
        return False
    try:
        bindings.crypto_sign_open(signature + _tagged(domain, body), public)
    except BadSignatureError:
        return False
    return True


@lru_cache(maxsize=MOST_KEYS)  # a member's key judges every message of that member
def is_proper(public: bytes) -> bool:
    """Return whether this is a public key: 32 bytes, canonical, a point of prime order."""
    return len(public) == KEY_BYTES and bindings.crypto_core_ed25519_is_valid_point(public)


@lru_cache(maxsize=64)  # of members that live in one process: the other half of a key costs as much as a signature
def _pair(private: bytes) -> bytes:
    """Return private and public key, 64 bytes: what the library signs with. It is made here alone.

    A signature made with another public half would give the private one away.
    """
    if len(private) != KEY_BYTES:
        raise Misuse(f"an Ed25519 private key has {KEY_BYTES} bytes, this one has {len(private)}")
    return bindings.crypto_sign_seed_keypair(private)[1]


def _tagged(domain: str, body: bytes) -> bytes:
    if not domain.isascii() or not 1 <= len(domain) <= 255:
        raise Misuse("a signature's domain tag is 1 to 255 ASCII characters")
    return len(domain).to_bytes(4, "big") + domain.encode("ascii") + body

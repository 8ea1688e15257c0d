"""Keys and integer ciphertexts to and from phe (python-paillier), for those who have data under its keys.

phe is under the GPL, so it is an extra that nothing else here imports, and only inside a call: whoever ships both
together ships under its terms. Its floats stay outside: their public exponent tells a number's magnitude. What it
takes and we refuse (short or even moduli, ciphertexts out of range) is refused here as everywhere. A signed number m
is the plaintext m modulo n on both sides; phe reads plaintexts of the last third of [0, n) as negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, overload, runtime_checkable

from federation.crypto.paillier import ciphertexts
from federation.crypto.paillier.keys import OwnerKey, PublicKey
from federation.errors import Misuse


class PaillierPublicKey(Protocol):
    """What is read of phe's class of this name."""

    n: int


@runtime_checkable
class PaillierPrivateKey(Protocol):
    """What is read of phe's class of this name."""

    p: int
    q: int


class EncryptedNumber(Protocol):
    """What is read of phe's class of this name."""

    public_key: PaillierPublicKey
    exponent: int

    def ciphertext(self) -> int:
        """Return the ciphertext, blinded again unless it is fresh."""


@overload
def to_phe(key: OwnerKey) -> PaillierPrivateKey: ...
@overload
def to_phe(key: PublicKey) -> PaillierPublicKey: ...
@overload
def to_phe(key: PublicKey, given: Sequence[int]) -> list[EncryptedNumber]: ...
def to_phe(
    key: PublicKey | OwnerKey, given: Sequence[int] | None = None
) -> PaillierPublicKey | PaillierPrivateKey | list[EncryptedNumber]:
    """Return the same key as phe has it, or these ciphertexts under it.

    phe knows no joint keys: of one it gets the public side, and sends back what the holders open together.

    Args:
        key: of one owner, or its public side.
        given: ciphertexts of integers. phe blinds them again before it writes them.

    Raises:
        BadCiphertext: one of them is none.
        Misuse: phe is not there, or ciphertexts beside a secret key.
    """
    try:
        from phe import paillier
    except ImportError:
        raise Misuse("phe is not there", hint="the extra `interop` brings it") from None
    if isinstance(key, OwnerKey):
        if given is not None:
            raise Misuse("ciphertexts go with a public key")
        private: PaillierPrivateKey = paillier.PaillierPrivateKey(
            paillier.PaillierPublicKey(key.p * key.q), key.p, key.q
        )
        return private
    public: PaillierPublicKey = paillier.PaillierPublicKey(int(key.n))
    if given is None:
        return public
    ciphertexts.check(key.n, given)
    return [paillier.EncryptedNumber(public, int(ciphertext)) for ciphertext in given]


@overload
def from_phe(given: PaillierPrivateKey) -> OwnerKey: ...
@overload
def from_phe(given: PaillierPublicKey) -> PublicKey: ...
@overload
def from_phe(given: Sequence[EncryptedNumber], key: PublicKey) -> list[int]: ...
def from_phe(
    given: PaillierPublicKey | PaillierPrivateKey | Sequence[EncryptedNumber], key: PublicKey | None = None
) -> PublicKey | OwnerKey | list[int]:
    """Return a key of phe's as we have it, or ciphertexts of its integers under a key of ours.

    What phe computed is blinded again on the way, or a factor that went into it could be found by trying. phe makes
    keys of any two primes; about one of six has the form that ours have (`OwnerKey`). Of a public key nobody
    sees that: take a stranger's only with a proof (`modulus`).

    Args:
        given: a key of phe's, or what it encrypted.
        key: whose ciphertexts these are.

    Raises:
        BadKey: a key that we refuse.
        BadCiphertext: a ciphertext that we refuse.
        Misuse: a float, a number under another key, or numbers without a key.
    """
    if isinstance(given, Sequence):
        if key is None:
            raise Misuse("ciphertexts come with the key that they are under")
        return _read(given, key)
    if isinstance(given, PaillierPrivateKey):
        return OwnerKey(p=int(given.p), q=int(given.q))
    public = PublicKey.owned(int(given.n))
    public.check()
    return public


def _read(given: Sequence[EncryptedNumber], key: PublicKey) -> list[int]:
    if any(number.public_key.n != key.n for number in given):
        raise Misuse("a number under another key")
    if any(number.exponent != 0 for number in given):
        raise Misuse("a float of phe, whose exponent tells its magnitude", hint="scale it to an integer first")
    found = [int(number.ciphertext()) for number in given]
    ciphertexts.check(key.n, found)
    return found

"""A key that nobody holds: every holder has one integer share of the exponent that decrypts, and all are needed.

The exponent is beta * phi(n) with a secret random beta (Shoup 2000; Fouque, Poupard and Stern 2000): theta, its residue
modulo n, is public and turns powers into plaintexts. A share of phi alone would give phi away with the first plaintext
that becomes known. A holder's answer for c is (c^2)^d; `proofs` says how he shows that d is the share behind his
verification key. The product is squared before it is read: what a changed sign would do is undone, since a proof of
many answers at once does not see signs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import gmpy2
from gmpy2 import mpz

from federation.crypto.paillier import ciphertexts
from federation.crypto.paillier.draws import Draws, framed, hashed, public_numbers, sized, unframed
from federation.crypto.paillier.keys import LARGEST_BITS, BadKey, OwnerKey, PublicKey
from federation.crypto.paillier.powers import all_powers
from federation.errors import Misuse

LEAST_HOLDERS = 2
SPARE_SHARE_BITS = 8  # a share is an integer of 2|n| bits and a few more
_KEY = b"federation/paillier/joint-key/v1"
_SHARE = b"federation/paillier/key-share/v1"
_DEALT = b"federation/paillier/dealt/v1"
_BASE_BITS = 256
_MASK_BITS = 128  # a dealer's shares hide the factors up to 2^-128


class BadPartial(ValueError):
    """Answers that do not make up a plaintext; whose is wrong, only their proofs tell. No text quotes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointKey:
    """The public side of a key that its holders have together.

    Attributes:
        public: modulus and base.
        theta: beta * phi(n) mod n.
        sid: 32 bytes of the session that made it, fixed before the modulus was known.
        holders: names, rising; at least two.
        vks: v^d mod n^2 for every holder's share d, in their order.
    """

    public: PublicKey
    theta: int
    sid: bytes
    holders: tuple[str, ...]
    vks: tuple[int, ...]

    @property
    def base(self) -> int:
        """The base v of the verification keys; its part modulo n binds the plaintext."""
        return verification_base(self.public)

    @property
    def digest(self) -> bytes:
        """32 bytes over everything."""
        return hashed(_KEY, self.to_bytes())

    @property
    def is_dealt(self) -> bool:
        """Whether `dealt` made it: its dealer could read everything. A label, not a proof: a dealer may hide."""
        return self.sid == _dealt_sid(self.public.n, self.holders)

    def vk(self, holder: str) -> int:
        """Return a holder's verification key. Raises Misuse for a name that holds nothing."""
        if holder not in self.holders:
            raise Misuse(f"{holder!r} holds no share of this key")
        return self.vks[self.holders.index(holder)]

    def check(self) -> None:
        """Raise BadKey unless the parts fit each other, so that all shares together do decrypt under it."""
        if len(self.sid) != 32 or len(self.holders) < LEAST_HOLDERS or len(self.vks) != len(self.holders):
            raise BadKey("a joint key has a session of 32 bytes, two holders or more, and a key of each")
        if list(self.holders) != sorted(set(self.holders)) or not all(self.holders):
            raise BadKey("the holders of a joint key have names, in rising order")
        self.public.check(self.sid)
        n = mpz(self.public.n)
        square = n * n
        if not 0 < self.theta < n or gmpy2.gcd(self.theta, n) != 1:
            raise BadKey("a theta that turns no power into a plaintext")
        if not all(0 < vk < square for vk in self.vks):
            raise BadKey("a verification key out of range")
        whole = mpz(1)
        for vk in self.vks:
            whole = whole * vk % square
        if whole != (1 + 2 * self.theta * n) % square:
            raise BadKey("verification keys that do not make up theta")

    def check_production(self) -> None:
        """Raise BadKey as `check` does, and for keys that protect nobody: too short, of our tests, or dealt."""
        self.public.check_production(self.sid)
        if self.is_dealt:
            raise BadKey("a development key, whose dealer can read everything")
        self.check()

    def to_bytes(self) -> bytes:
        """Return the one form in which the key is stored and sent; hs is computed again from it."""
        size = self.public.bits // 8
        pairs = zip(self.holders, self.vks, strict=True)
        parts = [part for name, vk in pairs for part in (name.encode(), sized(vk, 2 * size))]
        return framed(_KEY, self.sid, sized(self.public.n, size), sized(self.theta, size), *parts)

    @classmethod
    def of(cls, data: bytes) -> JointKey:
        """Return the key in foreign bytes, checked. Raises BadKey for bytes that are none."""
        try:
            label, sid, n, theta, *rest = unframed(data)
            if 8 * len(n) > LARGEST_BITS:  # before hs is computed from it, which would take minutes
                raise ValueError
            key = cls(
                public=PublicKey.joint(int.from_bytes(n, "big"), sid),
                theta=int.from_bytes(theta, "big"),
                sid=sid,
                holders=tuple(name.decode() for name in rest[::2]),
                vks=tuple(int.from_bytes(vk, "big") for vk in rest[1::2]),
            )
            same = label == _KEY and key.to_bytes() == data
        except (ValueError, OverflowError):
            raise BadKey("bytes that are no joint key") from None
        if not same:
            raise BadKey("bytes that are no joint key")
        key.check()
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyShare:
    """What one holder keeps to himself.

    Attributes:
        joint: digest of the key that it belongs to.
        holder: whose it is.
        d: his share of the exponent, of either sign.
    """

    joint: bytes
    holder: str
    d: int = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the one form in which the share is sealed; nobody else ever sees it."""
        sign = b"-" if self.d < 0 else b"+"
        return framed(_SHARE, self.joint, self.holder.encode(), sign, sized(abs(self.d)))

    @classmethod
    def of(cls, data: bytes) -> KeyShare:
        """Return the share in sealed bytes. Raises Misuse for bytes that are none."""
        try:
            label, joint, holder, sign, size = unframed(data)
            d = int.from_bytes(size, "big")
            share = cls(joint=joint, holder=holder.decode(), d=-d if sign == b"-" else d)
            same = label == _SHARE and share.to_bytes() == data
        except ValueError:
            same = False
        if not same:
            raise Misuse("bytes that are no share of a key")
        return share


def share_bits(public: PublicKey) -> int:
    """Return the most bits that a share has."""
    return 2 * public.bits + SPARE_SHARE_BITS


def verification_base(public: PublicKey) -> int:
    """Return v = ((1 + n) hs^a)^2 mod n^2 with a = H(n); the part 1 + n leaves no room for a shifted plaintext."""
    return _verification_base(public.n, public.hs)


def partials(joint: JointKey, share: KeyShare, given: Sequence[int]) -> list[int]:
    """Return a holder's answers (c^2)^d mod n^2, on both cores where threads were lent.

    Args:
        given: the ciphertexts to be decrypted. Whoever answers for a ciphertext opens it: he has made sure before that
            it is the product that may be opened.

    Raises:
        BadCiphertext: one of them is none.
        Misuse: a share of another key.
    """
    _refuse_strange(joint, share)
    ciphertexts.check(joint.public.n, given)
    square = mpz(joint.public.n) ** 2
    bases = [ciphertext * ciphertext % square for ciphertext in given]
    return all_powers(joint.public.n, bases, share.d)


def answers_from(joint: JointKey, data: bytes) -> list[int]:
    """Return the answers in foreign bytes, as wide as ciphertexts. Raises BadPartial for half of one, or out of range.

    Whose share made them, their proof tells.
    """
    size, square = ciphertexts.width(joint.public.n), mpz(joint.public.n) ** 2
    if len(data) % size:
        raise BadPartial(f"answers of {size} bytes expected, got {len(data)} bytes in all")
    found = [mpz.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size)]
    if not all(0 < answer < square for answer in found):
        raise BadPartial("an answer that does not lie between 0 and n^2")
    return found


def combine(joint: JointKey, given: Sequence[int], answers: Mapping[str, Sequence[int]]) -> list[int]:
    """Return the plaintexts of these ciphertexts, each in [0, n), from the answers of all holders.

    Raises:
        BadPartial: they do not make up plaintexts, or one is out of range.
        Misuse: not one answer of every holder for each ciphertext.
    """
    if set(answers) != set(joint.holders) or any(len(each) != len(given) for each in answers.values()):
        raise Misuse("one answer of every holder for each ciphertext is needed")
    n = mpz(joint.public.n)
    square = n * n
    if any(not 0 < answer < square for each in answers.values() for answer in each):
        raise BadPartial("an answer that does not lie between 0 and n^2")
    scale = gmpy2.invert(4 * joint.theta, n)
    found = []
    for power in ciphertexts.product(n, list(answers.values())):
        above, one = gmpy2.f_divmod(power * power % square, n)
        if one != 1:
            raise BadPartial("answers that do not make up a plaintext")
        found.append(above * scale % n)
    return found


def dealt(bits: int, holders: Sequence[str], entropy: bytes) -> tuple[JointKey, dict[str, KeyShare]]:
    """Return a key and its shares, made by one dealer who could read everything: for development and tests.

    The shares have the form and the length that the ceremony gives them: d_i = beta_i (n + 1) - s_i, where the s_i add
    up to beta (p + q).

    Args:
        entropy: 32 secret bytes; the same give the same key.

    Raises:
        Misuse: fewer than two holders, a name twice, or another length than moduli have.
    """
    names = tuple(sorted(set(holders)))
    if len(names) != len(holders) or len(names) < LEAST_HOLDERS:
        raise Misuse("two holders or more, each named once, are needed")
    draws = Draws(entropy, _DEALT, *(name.encode() for name in names))
    owner = OwnerKey.made(bits, sized(draws.bits(256), 32))
    n = mpz(owner.p) * owner.q
    sid = _dealt_sid(int(n), names)
    betas = [draws.below(n) for _ in names]
    masks = [draws.bits(3 * bits // 2 + _MASK_BITS) for _ in names[1:]]
    masks.append(sum(betas) * (owner.p + owner.q) - sum(masks))
    shares = [int(beta * (n + 1) - mask) for beta, mask in zip(betas, masks, strict=True)]
    public = PublicKey.joint(int(n), sid)
    joint = JointKey(
        public=public,
        theta=int(sum(betas) * (owner.p - 1) * (owner.q - 1) % n),
        sid=sid,
        holders=names,
        vks=tuple(int(vk) for share in shares for vk in powers([mpz(verification_base(public))], share, n * n)),
    )
    joint.check()
    return joint, {
        name: KeyShare(joint=joint.digest, holder=name, d=share) for name, share in zip(names, shares, strict=True)
    }


def powers(bases: Sequence[int], exponent: int, square: int) -> list[int]:
    """Return the bases to the power of an integer of either sign."""
    if exponent < 0:
        bases = [gmpy2.invert(base, square) for base in bases]
    return gmpy2.powmod_base_list(list(bases), abs(exponent), square)  # type: ignore[no-any-return]


def _refuse_strange(joint: JointKey, share: KeyShare) -> None:
    if share.joint != joint.digest or share.holder not in joint.holders:
        raise Misuse("a share of another key")
    if share.d.bit_length() > share_bits(joint.public):
        raise Misuse("a share that is longer than shares are")


def _dealt_sid(n: int, holders: Sequence[str]) -> bytes:
    """Return what stands for a session where there was none: nobody who had to fix it before n comes upon it."""
    return hashed(_DEALT, sized(n), *(name.encode() for name in holders))


@lru_cache(maxsize=16)
def _verification_base(n: int, hs: int) -> int:
    square = mpz(n) ** 2
    exponent = public_numbers(1, _BASE_BITS, _KEY, b"base", sized(n))[0]
    return int(((1 + mpz(n)) * gmpy2.powmod(hs, exponent, square)) ** 2 % square)

"""What is fixed before any number of a sum is known, and what its proofs and its secret numbers are bound to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from federation.crypto import agreement
from federation.crypto.paillier import ciphertexts
from federation.crypto.paillier.keys import BadKey
from federation.crypto.paillier.packing import Header, Slots
from federation.crypto.paillier.threshold import JointKey, KeyShare
from federation.crypto.ring import ELEMENT_BYTES, Z128
from federation.domain.job import digest
from federation.errors import Misuse
from federation.protocols.setup import Check, Setup, Spec, chunk_sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A spec under its key.

    Attributes:
        spec_hash: `spec.hash`, which so many things are bound to.
        slots: how numbers lie in plaintexts, for as many terms as there are parties.
        header: what each party's vector is headed by, 28 bytes.
    """

    spec: Spec
    joint: JointKey
    spec_hash: bytes
    slots: Slots
    header: bytes

    @classmethod
    def of(cls, spec: Spec, joint: JointKey) -> Terms:
        """Return the terms of a sum. Raises Misuse for what cannot be summed so."""
        if spec.ring != Z128.name or spec.check is not Check.ALL:
            raise Misuse(
                "numbers of Z_2^128 that everybody adds up are summed under a joint key",
                hint="long vectors of packed lanes are summed with masks",
            )
        parties = spec.setup.parties
        slots = Slots.fitting(value_bits=spec.value_bits, terms=len(parties), modulus_bits=joint.public.bits)
        header = Header(scale=1, value_bits=spec.value_bits, terms=1, count=spec.length)
        return cls(spec=spec, joint=joint, spec_hash=spec.hash, slots=slots, header=header.to_bytes())

    @property
    def setup(self) -> Setup:
        """Who sums."""
        return self.spec.setup

    @property
    def ciphertexts(self) -> int:
        """How many each party sends."""
        return self.slots.ciphertexts(self.spec.length)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Byte counts of the chunks of a party's ciphertexts, and of its answers."""
        return chunk_sizes(self.ciphertexts, ciphertexts.width(self.joint.public.n))

    def known(self, party: str) -> bytes:
        """Return what a party's proof of its plaintexts is bound to: no other party, sum or job accepts it."""
        return digest("federation/paillier_sum/known/v1", self.spec_hash, party.encode(), self.header)

    def opened(self, set_hash: bytes) -> bytes:
        """Return what the proofs of answers are bound to; `proofs` adds whose they are."""
        return digest("federation/paillier_sum/opened/v1", self.spec_hash, set_hash)

    def set_hash(self, digests: Iterable[bytes]) -> bytes:
        """Return the hash over the digests of everybody's signed `Cipher`, in party order."""
        return digest("federation/paillier_sum/set/v1", self.spec_hash, *digests)

    def secret(self, entropy: bytes, what: str) -> bytes:
        """Return 32 secret bytes for one use in this sum: other numbers are drawn for any other spec."""
        return agreement.derive(entropy, digest("federation/paillier_sum/secret/v1", self.spec_hash, what.encode()))

    def total(self, sums: Sequence[int]) -> bytes:
        """Return the sums as elements of Z_2^128: as in masked sums, what no longer fits begins again."""
        modulus = 1 << 8 * ELEMENT_BYTES
        return b"".join([(each % modulus).to_bytes(ELEMENT_BYTES, "little") for each in sums])


def joint_key(data: bytes, setup: Setup) -> JointKey:
    """Return the key of this setup. Raises Misuse for another one, or one that others than the parties hold."""
    try:
        digest_of, joint = _decoded(data)
    except BadKey as fault:
        raise Misuse(f"the joint key of a sum is needed: {fault}") from None
    if not setup.key or digest_of != setup.key or joint.holders != setup.parties:
        raise Misuse("the joint key that the setup names, held by exactly its parties, is needed")
    return joint


def key_share(data: bytes, setup: Setup, me: str) -> KeyShare:
    """Return one's own share of the setup's key. Raises Misuse for another one."""
    share = KeyShare.of(data)
    if share.joint != setup.key or share.holder != me:
        raise Misuse("a party's own share of the key that the setup names is needed")
    return share


@lru_cache(maxsize=8)
def _decoded(data: bytes) -> tuple[bytes, JointKey]:
    """Return digest and key: checked once, with hs computed again, and not in every sum."""
    joint = JointKey.of(data)
    return joint.digest, joint

"""What both roles check of one party's message; whom they blame is the rule of `bundles`.

What lies under a signed root and was signed for this very sum is the signer's: a number that is no ciphertext, a proof
that proves nothing, a header of other numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from federation.crypto.paillier import ciphertexts, proofs, threshold
from federation.crypto.paillier.ciphertexts import BadCiphertext
from federation.crypto.paillier.proofs import BadProof
from federation.crypto.paillier.threshold import BadPartial
from federation.errors import ProtocolViolation
from federation.protocols.bundles import spoken
from federation.protocols.events import Parcel
from federation.protocols.paillier_sum.messages import Cipher, Partial, Ready
from federation.protocols.paillier_sum.terms import Terms
from federation.protocols.setup import Setup, root_of


def ready(setup: Setup, setup_hash: bytes, parcel: Parcel, relay: str) -> None:
    """Check a party's word that it is there. Raises ProtocolViolation."""
    value = spoken(Ready, setup, parcel, relay)
    if value.setup_hash != setup_hash or parcel.chunks:
        raise ProtocolViolation(
            relay, phase="ready", expected="a word for this setup and its key", got="one for another setup"
        )


def cipher(terms: Terms, parcel: Parcel, relay: str) -> list[int]:
    """Return a party's ciphertexts: as many as numbers take, under the signed root, each in range and a unit.

    Whether it knows what is in them, `known` tells. Raises ProtocolViolation.
    """
    value = spoken(Cipher, terms.setup, parcel, relay)
    if value.spec_hash != terms.spec_hash:
        raise ProtocolViolation(relay, phase="cipher", expected="ciphertexts for this spec", got="some for another")
    if value.header != terms.header:
        raise ProtocolViolation(
            value.party, phase="cipher", expected=f"the header of {terms.spec.length} numbers", got="another header"
        )
    data = _under(terms, value.chunk_root, parcel, relay, "cipher")
    try:
        return ciphertexts.from_bytes(terms.joint.public.n, data)
    except BadCiphertext as fault:
        raise ProtocolViolation(value.party, phase="cipher", expected="ciphertexts", got=str(fault)) from None


def known(terms: Terms, party: str, given: Sequence[int], proof: bytes) -> None:
    """Check that a party knows what is in its ciphertexts, and made them for this sum. Raises ProtocolViolation."""
    try:
        proofs.check_plaintexts(terms.joint.public, given, terms.known(party), proof)
    except BadProof as fault:
        raise ProtocolViolation(
            party, phase="cipher", expected="a proof that it knows what it encrypted", got=str(fault)
        ) from None


def partial(terms: Terms, set_hash: bytes, parcel: Parcel, relay: str) -> list[int]:
    """Return a party's answers, in number and range those to this list. Raises ProtocolViolation.

    Whether they were made with its share, `unproved` tells.
    """
    value = spoken(Partial, terms.setup, parcel, relay)
    if (value.spec_hash, value.set_hash) != (terms.spec_hash, set_hash):
        raise ProtocolViolation(
            relay, phase="partial", expected="answers to this list of ciphertexts", got="answers to another list"
        )
    data = _under(terms, value.chunk_root, parcel, relay, "partial")
    try:
        return threshold.answers_from(terms.joint, data)
    except BadPartial as fault:
        raise ProtocolViolation(value.party, phase="partial", expected="answers", got=str(fault)) from None


def unproved(
    terms: Terms,
    product: Sequence[int],
    set_hash: bytes,
    answers: Mapping[str, Sequence[int]],
    shown: Mapping[str, bytes],
) -> None:
    """Refuse answers that were not made with their holders' shares, from the product of the ciphertexts.

    Args:
        shown: proof by party, of those whose answers are looked at.

    Raises:
        ProtocolViolation: by the first of them, in party order.
    """
    liars = proofs.unproved_partials(terms.joint, product, answers, terms.opened(set_hash), shown)
    if liars:
        raise ProtocolViolation(
            liars[0],
            phase="partial",
            expected="answers with a proof that its share of the key made them",
            got=f"a proof that does not hold, from {', '.join(liars)}",
        )


def _under(terms: Terms, root: bytes, parcel: Parcel, relay: str, phase: str) -> bytes:
    """Return the bytes of chunks that have the sizes that the spec says and lie under the signed root."""
    if tuple(map(len, parcel.chunks)) != terms.chunks:
        raise ProtocolViolation(
            relay, phase=phase, expected=f"chunks of {terms.ciphertexts} ciphertexts", got="other sizes"
        )
    if root_of(parcel.chunks) != root:
        raise ProtocolViolation(relay, phase=phase, expected="the chunks under the signed root", got="other bytes")
    return b"".join(parcel.chunks)

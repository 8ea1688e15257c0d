"""Boxes for single holders, sealed end to end: whoever carries them can neither read nor exchange them.

Every holder announces an X25519 key for this ceremony alone, signed by its roster identity; the key of a box binds
both, who sends it to whom, and the whole word that it belongs to. So it is used once, and what is sent again is the
same bytes. The word has the digest of what is inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.crypto import aead, agreement
from federation.crypto.aead import BadSeal
from federation.crypto.agreement import BadPublicKey
from federation.domain.job import digest
from federation.errors import ProtocolViolation
from federation.protocols.key_ceremony.messages import Word
from federation.protocols.key_ceremony.terms import Ceremony

_PHASE = "key-join"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """What one holder seals and opens with.

    Attributes:
        keys: everybody's public key of this ceremony, by name.
        secrets: what this holder shares with each other one.
    """

    ceremony: Ceremony
    me: str
    keys: Mapping[str, bytes]
    secrets: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def of(cls, ceremony: Ceremony, me: str, private: bytes, keys: Mapping[str, bytes]) -> Boxes:
        """Return them, from this holder's private key and what all holders announced.

        Raises:
            ProtocolViolation: a holder announced no key, or one that agrees on the same secrets as another holder's.
        """
        seen: dict[bytes, str] = {}
        for name in ceremony.holders:
            try:
                found = agreement.representative(keys[name])
            except BadPublicKey as fault:
                raise ProtocolViolation(name, phase=_PHASE, expected="a public key", got=str(fault)) from None
            if found in seen:
                raise ProtocolViolation(name, phase=_PHASE, expected="a key of its own", got=f"that of {seen[found]}")
            seen[found] = name
        others = ceremony.others(me)
        secrets = agreement.shared_each(private, [keys[name] for name in others])
        return cls(ceremony=ceremony, me=me, keys=keys, secrets=dict(zip(others, secrets, strict=True)))

    def sealed(self, to: str, word: Word, box: bytes) -> bytes:
        """Return the box as it travels; b"" for none."""
        return aead.seal(self._key(to, self.me, to, word), box, b"") if box else b""

    def opened(self, word: Word, sealed: bytes) -> bytes:
        """Return what another holder put into the box for this one. Raises ProtocolViolation."""
        if not sealed:
            return b""
        try:
            return aead.opened(self._key(word.party, word.party, self.me, word), sealed, b"")
        except BadSeal as fault:
            raise ProtocolViolation(word.party, phase=word.what, expected="a sealed box", got=str(fault)) from None

    def _key(self, peer: str, sender: str, receiver: str, word: Word) -> bytes:
        ends = (sender.encode(), receiver.encode(), self.keys[sender], self.keys[receiver])
        info = digest("federation/key_ceremony/box-key/v1", self.ceremony.hash, *ends, word.digest)
        return agreement.derive(self.secrets[peer], info)

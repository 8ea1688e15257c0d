"""Joint keys at a jurisdiction: its own share of each, sealed beside the certificate of all holders, for one epoch.

A share is never sent and never shown. When its epoch is over it is erased for ever: what was summed under the key can
still be audited, and nothing can be decrypted under it any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from clients.jurisdiction.vault import Vault
from federation.crypto.paillier.threshold import JointKey, KeyShare
from federation.domain.job import digest
from federation.errors import Misuse
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.certificates import Certified, key_in

KEYS: Final = b"joint keys"  # the vault's key for the list of digests
DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A joint key and this holder's own share of it.

    Attributes:
        expires_ms: Unix time in milliseconds when its epoch ends.
    """

    joint: JointKey
    share: KeyShare = field(repr=False)
    expires_ms: int


class JointKeys:
    """The joint keys that one jurisdiction holds a share of.

    Args:
        vault: keeps them, sealed.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._read: dict[bytes, Held] = {}  # a key's parts are checked once: it takes longer than a small sum

    def keep(self, certified: Certified, share: KeyShare) -> None:
        """Keep a key that was just made; once more is no change.

        Raises:
            Misuse: a share of another key, or of nobody who holds this one.
        """
        if share.joint != certified.digest or share.holder not in certified.joint.holders:
            raise Misuse("a share of another key")
        listed = self._listed()
        if certified.digest in listed:
            return
        value = m.KeyCertificate(
            joint_key=certified.joint.to_bytes(),
            transcript=certified.transcript,
            made_ms=certified.made_ms,
            expires_ms=certified.expires_ms,
        )
        certificate = convert.BODIES[m.KEY_CERTIFICATE].encode(value)
        with self._vault.together():
            kept = [("certificate", certificate), ("share", share.to_bytes())]
            self._vault.append_many(_stream(certified.digest), kept)
            self._vault.put(KEYS, b"".join((*listed, certified.digest)))

    def held(self, key: bytes) -> Held | None:
        """Return the key of this digest and our share, or None if we have none or its epoch is over."""
        if key not in self._read and key in self._listed():
            self._read[key] = self._loaded(key)
        return self._read.get(key)

    def all(self) -> tuple[Held, ...]:
        """Return all of them, oldest first."""
        return tuple(held for key in self._listed() if (held := self.held(key)) is not None)

    def erase_expired(self, now_ms: int) -> tuple[bytes, ...]:
        """Erase the shares of keys whose epoch is over; return their digests."""
        over = tuple(held.joint.digest for held in self.all() if held.expires_ms <= now_ms)
        if over:
            with self._vault.together():
                for key in over:
                    self._vault.erase(_stream(key))
                self._vault.put(KEYS, b"".join(key for key in self._listed() if key not in over))
            for key in over:
                del self._read[key]
        return over

    def _listed(self) -> tuple[bytes, ...]:
        found = self._vault.get(KEYS) or b""
        return tuple(found[at : at + DIGEST_BYTES] for at in range(0, len(found), DIGEST_BYTES))

    def _loaded(self, key: bytes) -> Held:
        kept = dict(self._vault.read(_stream(key)))
        value = convert.BODIES[m.KEY_CERTIFICATE].decode(kept["certificate"])
        if not isinstance(value, m.KeyCertificate):
            raise TypeError("a certificate's body decodes to a certificate")
        share = KeyShare.of(kept["share"])
        return Held(joint=key_in(value, share.holder), share=share, expires_ms=value.expires_ms)


def _stream(key: bytes) -> bytes:
    return digest("federation/joint-key/v1", key)

"""Seals single records with AES-256-GCM, and keeps one hash over the set of all of them.

Each record is bound to its place, so it opens nowhere else; the set hash notices a record that was removed, repeated or
put back from an earlier time. Names become keyed hashes. Nothing here touches a file.
"""

from __future__ import annotations

import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from federation.crypto.agreement import derive
from federation.errors import Misuse, Refused

NONCE_BYTES = 12
SET_HASH_BYTES = 32


class Seal:
    """The three keys that one storage key gives: for records, for names, for the set.

    Nonces are random: 2^32 records under one storage key are the limit that NIST SP 800-38D sets; the journal of a
    job has hundreds.
    """

    def __init__(self, storage_key: bytes) -> None:
        if len(storage_key) != 32:
            raise Misuse(f"a storage key has 32 bytes, this one has {len(storage_key)}")
        self._cipher = AESGCM(derive(storage_key, b"federation/sealed/record/v1"))
        self._names = derive(storage_key, b"federation/sealed/name/v1")
        self._set = derive(storage_key, b"federation/sealed/set/v1")

    def sealed(self, place: bytes, content: bytes | memoryview) -> bytes:
        """Return nonce | ciphertext | tag of `content`, which opens at `place` only."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, place)

    def opened(self, place: bytes, record: bytes) -> bytes:
        """Return the content of a record.

        Raises:
            Refused: rule "sealed storage": it was changed, cut, moved from another place, or sealed with another key.
        """
        try:
            return self._cipher.decrypt(record[:NONCE_BYTES], record[NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            raise broken("a record was changed, moved, or sealed with another storage key") from None

    def hidden(self, kind: bytes, name: bytes) -> bytes:
        """Return the keyed hash that stands for `name` in the file, 32 bytes."""
        return hmac.digest(self._names, place_of(kind, name), "sha256")

    def weight(self, place: bytes, record: bytes) -> int:
        """Return what one record adds to the set hash, by exclusive or: 256 bits that only the key can tell."""
        return int.from_bytes(hmac.digest(self._set, place_of(place, record), "sha256"), "big")


def place_of(*parts: bytes) -> bytes:
    """Return the parts with their lengths, so that no two lists of parts are one place."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def broken(what: str) -> Refused:
    """Return the error for storage that is not as this process left it."""
    return Refused(
        f"the sealed storage is not as it was left: {what}",
        rule="sealed storage",
        hint="check that key folder and state folder belong together; if so keep both as evidence and start anew",
    )

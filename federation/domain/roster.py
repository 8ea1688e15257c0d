"""The signed list of members, roles and keys: there is no certificate authority, the roster is the trust.

Every member signs the same roster hash; a roster that lacks one signature is a draft and opens no connection. Files,
formats and prompts live in `federation.identity`.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from enum import StrEnum

from federation.errors import Misuse, did_you_mean


class Role(StrEnum):
    """What a member may do; the table of RPC x role is `federation.coordinator.access`."""

    COORDINATOR = "coordinator"
    JURISDICTION = "jurisdiction"
    RESEARCHER = "researcher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member.

    Attributes:
        name: unique in the roster, `[a-z][a-z0-9-]{0,62}`.
        identity_key: Ed25519 public key, 32 bytes; signs messages.
        tls_certificate: self-made P-256 leaf certificate, DER; pinned byte for byte.
    """

    name: str
    role: Role
    identity_key: bytes
    tls_certificate: bytes

    @property
    def key_id(self) -> bytes:
        """First 16 bytes of SHA-256 of the identity key."""
        return _key_id(self.identity_key)


@functools.lru_cache(maxsize=1024)  # asked for every message that arrives
def _key_id(identity_key: bytes) -> bytes:
    return hashlib.sha256(identity_key).digest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """The members of one federation, sorted by name, and their signatures over `hash`.

    Attributes:
        federation: the federation's name.
        version: 1 for the first roster, one more for each change.
        signatures: (member name, Ed25519 signature over domain tag and hash); all members for a roster in force.
    """

    federation: str
    version: int
    members: tuple[Member, ...]
    signatures: tuple[tuple[str, bytes], ...] = ()

    @property
    def canonical(self) -> bytes:
        """What is hashed and signed: every field of every member, length-prefixed, in name order; no signatures."""
        parts = [b"federation/roster/v1", self.federation.encode(), self.version.to_bytes(8, "big")]
        for member in sorted(self.members, key=lambda m: m.name):
            parts += [member.name.encode(), member.role.value.encode(), member.identity_key, member.tls_certificate]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    @property
    def hash(self) -> bytes:
        """SHA-256 of `canonical`, 32 bytes."""
        return hashlib.sha256(self.canonical).digest()

    def member(self, name: str) -> Member:
        """Return the member called `name`. Raises Misuse if there is none."""
        for member in self.members:
            if member.name == name:
                return member
        raise Misuse(f"the roster has no member {name!r}", hint=did_you_mean(name, (m.name for m in self.members)))

    def by_key_id(self, key_id: bytes) -> Member | None:
        """Return the member whose identity key has this id, or None."""
        return next((member for member in self.members if member.key_id == key_id), None)

    def with_role(self, role: Role) -> tuple[Member, ...]:
        """Return the members of one role, in name order."""
        return tuple(sorted((m for m in self.members if m.role is role), key=lambda m: m.name))

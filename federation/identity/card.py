"""A member's card: the public part of one member, signed by itself, which its operator hands to whoever convenes.

The signature proves that the sender holds the identity key; that the sender is who it says is for people to compare, by
`fingerprint`, over a line that they trust. Refuses a wrong signature, a certificate for another name and Ed25519 keys
under which anybody can sign.
"""

from __future__ import annotations

import hashlib

from federation.crypto import signing
from federation.domain.job import digest
from federation.domain.roster import Member, Role
from federation.errors import Refused
from federation.identity import certificate, document

SCHEMA = "federation/member/v1"
LARGEST_BYTES = 16 * 1024
MEMBER_KEYS = ("name", "role", "identity_key", "tls_certificate")


def checked(member: Member) -> Member:
    """Return `member` if its name, key and certificate can be used.

    Raises:
        Misuse: the name.
        Refused: rule "certificate" or "identity key", naming the member.
    """
    certificate.checked_name(member.name)
    if not signing.is_proper(member.identity_key):
        raise Refused(
            f"the identity key of {member.name} is not a proper Ed25519 key",
            rule="identity key",
            hint="the member makes new keys with `federation roster join`",
            party=member.name,
        )
    certificate.check(member.name, member.tls_certificate)
    return member


def fingerprint(member: Member) -> str:
    """Return what two people read to each other: 128 bits over name, role and both keys, in eight groups of hex digits.

    Enough against a second card with the fingerprint of somebody else's, which costs 2^128. A member who makes two
    cards of its own with one fingerprint (2^64) gains nothing: the roster holds only one of them.
    """
    return readable(hashlib.sha256(_body(member)).digest())


def readable(hash_bytes: bytes) -> str:
    """Return the first 128 bits of a hash in eight groups of four hex digits."""
    text = hash_bytes[:16].hex()
    return " ".join(text[i : i + 4] for i in range(0, 32, 4))


def encoded(member: Member, identity_key: bytes) -> bytes:
    """Return the card as a JSON document, signed with the member's private identity key (32 bytes)."""
    signature = signing.sign(identity_key, SCHEMA, _body(member))
    return document.encoded(
        {"schema": SCHEMA, "member": to_fields(member), "signature": document.base64_text(signature)}
    )


def decoded(content: bytes, what: str) -> Member:
    """Return the member of a card; `what` is how errors name it.

    Raises:
        Misuse: not a card.
        Refused: rule "identity key", "certificate" or "card": key, certificate or signature are no good.
    """
    top = document.fields(
        document.decoded(content, what=what, schema=SCHEMA, limit_bytes=LARGEST_BYTES),
        what,
        ("schema", "member", "signature"),
    )
    member = checked(from_fields(top["member"], f"the member of {what}"))
    signature = document.binary(top["signature"], f"the signature of {what}", 64, 64)
    if not signing.verify(member.identity_key, SCHEMA, _body(member), signature):
        raise Refused(
            f"{what} is not signed by the key that it shows",
            rule="card",
            hint=f"ask {member.name} for its card again",
            party=member.name,
        )
    return member


def to_fields(member: Member) -> dict[str, str]:
    """Return the member as an object of a JSON document."""
    return {
        "name": member.name,
        "role": member.role.value,
        "identity_key": document.base64_text(member.identity_key),
        "tls_certificate": document.base64_text(member.tls_certificate),
    }


def from_fields(value: object, what: str) -> Member:
    """Return the member that `to_fields` wrote; keys and certificate are not `checked` yet. Raises Misuse."""
    given = document.fields(value, what, MEMBER_KEYS)
    return Member(
        name=document.text(given["name"], f"the name of {what}", certificate.NAME),
        role=Role(document.text(given["role"], f"the role of {what}", document.one_of(Role))),
        identity_key=document.binary(given["identity_key"], f"the identity_key of {what}", 32, 32),
        tls_certificate=document.binary(
            given["tls_certificate"], f"the tls_certificate of {what}", 1, certificate.LARGEST_BYTES
        ),
    )


def _body(member: Member) -> bytes:
    return digest(SCHEMA, member.name.encode(), member.role.value.encode(), member.identity_key, member.tls_certificate)

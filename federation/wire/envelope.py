"""Signs what leaves and verifies what arrives: nothing foreign becomes a value without passing `attested`.

A signature may be left to a protocol's machine (`SecureSum.deferred`): then the value carries it as a `Claim`. Nobody
but the relay is blamed for such a message before it is verified.

Refuses by name: an unknown key, a wrong signature, another message than the one that was due, a sender in the wrong
role or speaking for somebody else, bytes that are truncated or not in canonical form. Never quotes what it refuses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from federation.crypto.blinding import share
from federation.crypto.signing import Claim
from federation.domain.roster import Member, Roster
from federation.errors import ProtocolViolation
from federation.wire.convert import BODIES, Malformed
from federation.wire.messages import Signed

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

LEAST_WORTH_SPREADING = 12  # signatures of some 45 us each; waking a thread costs one of them
LARGEST_BODY = 3 * 1024 * 1024  # below gRPC's default message limit of 4 MiB, which is kept


@dataclass(frozen=True, slots=True)
class Opened(Generic[T_co]):
    """A decoded message whose signature was verified, or is left to the reader.

    Attributes:
        sender: the member whose key signed.
        digest: SHA-256 of the received body: the id under which it is pinned, 32 bytes.
        claim: the signature, where it was not verified.
    """

    sender: str
    value: T_co
    digest: bytes
    claim: Claim | None = None


class Signer(Protocol):
    """Who can sign for a member: `federation.identity` has the one that reads key files."""

    @property
    def member(self) -> Member: ...

    def sign(self, domain: str, body: bytes) -> bytes: ...


def signed(signer: Signer, domain: str, value: object) -> Signed:
    """Return `value` as bytes signed under `domain`; Ed25519 is deterministic, so equal values give equal bytes."""
    kind = BODIES[domain]
    body = kind.encode(value)
    return Signed(body=body, key_id=signer.member.key_id, signature=signer.sign(domain, body), domain=domain)


def digest_of(message: Signed) -> bytes:
    """SHA-256 of the received body: the id under which a message is pinned, 32 bytes."""
    return hashlib.sha256(message.body).digest()


def attested(
    message: Signed, roster: Roster, *, domain: str, kind: type[T], relay: str, later: Collection[str] = ()
) -> Opened[T]:
    """Return the value in `message` with its verified sender.

    Args:
        message: what arrived.
        roster: whose keys count.
        domain: which message is due here.
        kind: the value's type; what `domain` decodes to.
        relay: the member who handed us the bytes: to blame when they cannot be tied to anybody.
        later: domains whose signatures are handed on as claims, if there is nothing else to refuse.

    Raises:
        ProtocolViolation: naming the signer if the signature is its own, the relay otherwise.
    """
    phase = domain.removeprefix("federation/").rpartition("/")[0]  # without the version

    def refuse(who: str, expected: str, got: str) -> ProtocolViolation:
        return ProtocolViolation(who, phase=phase, expected=expected, got=got)

    if message.domain != domain:
        raise refuse(relay, f"a message {domain!r}", "a message of another domain")
    if len(message.body) > LARGEST_BODY:
        raise refuse(relay, f"at most {LARGEST_BODY} bytes", f"{len(message.body)} bytes")
    member = roster.by_key_id(message.key_id)
    if member is None:
        raise refuse(relay, "a member's signature", "an unknown key" if message.key_id else "none")
    claim = Claim(public=member.identity_key, domain=domain, body=message.body, signature=message.signature)

    def prove() -> None:
        if not claim.holds():
            raise refuse(relay, f"a signature by {member.name}", "a signature that does not verify")

    if domain not in later:
        prove()
    try:
        value = _read(message, member, refuse)
    except ProtocolViolation:
        prove()  # before its signer is named
        raise
    if not isinstance(value, kind):
        raise TypeError(f"{domain} decodes to {type(value).__name__}, not {kind.__name__}")
    return Opened(member.name, value, digest_of(message), claim if domain in later else None)


def _read(message: Signed, member: Member, refuse: Callable[[str, str, str], ProtocolViolation]) -> object:
    """Return the value that `member` may say, and says in its own name. Raises ProtocolViolation, naming it."""
    body = BODIES[message.domain]
    if member.role is not body.role:
        raise refuse(member.name, f"a {body.role.value}", f"a {member.role.value}")
    try:
        value = body.decode(message.body)
    except Malformed as fault:
        raise refuse(member.name, "a well-formed message", str(fault)) from None
    speaker = getattr(value, body.speaker) if body.speaker else member.name
    if speaker != member.name:
        raise refuse(member.name, "a message in its own name", "a message in another member's name")
    return value


def opened(message: Signed, roster: Roster, *, relay: str, later: Collection[str] = ()) -> Opened[object]:
    """Return the value in `message`, whatever known domain it has, verified as `attested` does."""
    body = BODIES.get(message.domain)
    if body is None:
        raise ProtocolViolation(relay, phase="message", expected="a known domain tag", got="an unknown one")
    return attested(message, roster, domain=message.domain, kind=object, relay=relay, later=later)


def opened_each(
    messages: Sequence[Signed], roster: Roster, *, relay: str, later: Collection[str] = ()
) -> list[Opened[object]]:
    """Return the values of several messages in order, verified as `opened` does, on both cores where threads were lent.

    Raises:
        ProtocolViolation: that of the first message, in order, that has one.
    """
    found: list[Opened[object] | ProtocolViolation | None] = [None] * len(messages)

    def work(run: range) -> None:
        for place in run:
            try:
                found[place] = opened(messages[place], roster, relay=relay, later=later)
            except ProtocolViolation as fault:
                found[place] = fault

    left = sum(message.domain in later for message in messages)
    share(work, len(messages), LEAST_WORTH_SPREADING + left)
    values = []
    for one in found:
        if isinstance(one, ProtocolViolation):
            raise one
        if one is not None:
            values.append(one)
    return values

"""What a proposed key is, and that a joint key is one that all its holders signed.

Everybody holds proposals and certificates to the same: researchers, auditors, daemons and the relay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from federation.crypto.paillier.keys import BadKey
from federation.crypto.paillier.threshold import JointKey
from federation.domain.roster import Role, Roster
from federation.errors import Misuse, ProtocolViolation, Refused
from federation.protocols.key_ceremony.terms import Ceremony
from federation.wire import messages as m
from federation.wire.envelope import Opened, attested

LEAST_HOLDERS = 3  # a sum of fewer says what each of them put in
LONGEST_CEREMONY_MS = 7 * 24 * 3600 * 1000  # from the proposal until it is given up
EPOCH_MS = 90 * 24 * 3600 * 1000  # a key's life; its shares are erased after that
_PHASE = "key-certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A joint key with the signatures of all who hold it.

    Attributes:
        transcript: digest over all words of its ceremony, 32 bytes.
        made_ms: when its epoch began.
        expires_ms: when it ends.
        signatures: one a holder, in their order.
    """

    joint: JointKey
    transcript: bytes
    made_ms: int
    expires_ms: int
    signatures: tuple[m.Signed, ...]

    @property
    def digest(self) -> bytes:
        """What jobs name the key by, 32 bytes."""
        return self.joint.digest

    def valid(self, now_ms: int) -> bool:
        """Return whether it is used at this time."""
        return self.made_ms <= now_ms < self.expires_ms


def certified(signatures: Iterable[m.Signed], roster: Roster, *, relay: str) -> Certified:
    """Return the key that these signatures are under.

    Raises:
        ProtocolViolation: a signature is none, of no holder or of one twice; they are not all under the same bytes;
            somebody's is missing; what they signed is no key.
    """
    found: dict[str, m.Signed] = {}
    values: dict[bytes, m.KeyCertificate] = {}
    for envelope in signatures:
        read = attested(envelope, roster, domain=m.KEY_CERTIFICATE, kind=m.KeyCertificate, relay=relay)
        if read.sender in found:
            raise _broken(relay, "one signature of each holder", "two of one")
        found[read.sender] = envelope
        values[read.digest] = read.value
    if len(values) != 1:
        raise _broken(relay, "signatures under one key", "none" if not values else "some under several")
    (value,) = values.values()
    joint = key_in(value, relay)
    if set(found) != set(joint.holders):
        raise _broken(relay, "a signature of every holder", "another list")
    return Certified(
        joint=joint,
        transcript=value.transcript,
        made_ms=value.made_ms,
        expires_ms=value.expires_ms,
        signatures=tuple(found[holder] for holder in joint.holders),
    )


def key_in(value: m.KeyCertificate, sender: str) -> JointKey:
    """Return the key that a certificate is about, its parts checked. Raises ProtocolViolation, naming `sender`."""
    if value.expires_ms != value.made_ms + EPOCH_MS:
        raise _broken(sender, "a key for one epoch", "one for another time")
    try:
        return JointKey.of(value.joint_key)
    except BadKey as fault:
        raise _broken(sender, "a joint key", str(fault)) from None


def ceremony_of(proposal: Opened[m.KeyProposal], roster: Roster) -> Ceremony:
    """Return what a proposal proposes, the same for everybody who reads it.

    Raises:
        Refused: another roster, holders who are no jurisdictions of it, or fewer than three.
        Misuse: a length that no key has, too many holders, or times that do not fit.
    """
    value = proposal.value
    if value.roster_hash != roster.hash:
        raise Refused("the key was proposed for another roster", rule="roster", hint="federation roster show")
    strangers = set(value.holders) - {member.name for member in roster.with_role(Role.JURISDICTION)}
    if strangers or value.proposer not in value.holders:
        raise Refused(
            "the holders of a key are jurisdictions of the roster, and whoever proposes it is one of them",
            rule="key/holders",
            hint="name them with --holders a,b,c, yourself among them",
        )
    if len(value.holders) < LEAST_HOLDERS:
        raise Refused(
            f"a key has at least {LEAST_HOLDERS} holders",
            rule="key/holders",
            hint="with two, each would read the other's number from the sum",
        )
    if not value.made_ms < value.deadline_ms <= value.made_ms + LONGEST_CEREMONY_MS:
        raise Misuse("a ceremony is given up within 7 days", hint="--deadline says how long it may take")
    return Ceremony.standard(id=proposal.digest, holders=value.holders, bits=value.bits)


def _broken(party: str, expected: str, got: str) -> ProtocolViolation:
    return ProtocolViolation(party, phase=_PHASE, expected=expected, got=got)

"""The roster as a file, the signatures under it, and the one question that matters: is it in force?

A draft becomes a roster in force when every member has signed the same hash; only then does anybody connect. Refuses
members that repeat a name, a key or a certificate, more or less than one coordinator, fewer than three jurisdictions,
and a signature that is missing or wrong, naming whose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from federation.crypto import signing
from federation.domain.roster import Member, Role, Roster
from federation.errors import Refused
from federation.identity import card, certificate, document
from federation.identity.keys import Credentials, check_joined

SCHEMA = "federation/roster/v1"
MOST_MEMBERS = 1024
LARGEST_BYTES = 8 * 1024 * 1024
_MOST_VERSIONS = 2**31 - 1


def load(path: Path) -> Roster:
    """Return the roster in a file: well-formed and without duplicates, but perhaps a draft; see `in_force`.

    Raises:
        Misuse: not a roster file.
        Refused: rule "roster", "certificate" or "identity key".
    """
    what = f"the roster file {path}"
    return decoded(document.read(path, what=what, limit_bytes=LARGEST_BYTES), what)


def save(path: Path, roster: Roster, *, replace_file: bool = True) -> None:
    """Write the roster atomically.

    Raises:
        Misuse: the file exists and may not be replaced.
        Unavailable: the system refuses; the old file is unchanged.
    """
    document.write(path, encoded(roster), replace=replace_file)


def encoded(roster: Roster) -> bytes:
    """Return the roster as a JSON document, members and signatures in name order."""
    return document.encoded(
        {
            "schema": SCHEMA,
            "federation": roster.federation,
            "version": roster.version,
            "members": [card.to_fields(member) for member in sorted(roster.members, key=lambda m: m.name)],
            "signatures": [
                {"member": name, "signature": document.base64_text(signature)}
                for name, signature in sorted(roster.signatures)
            ],
        }
    )


def decoded(content: bytes, what: str = "the roster") -> Roster:
    """Return the roster of a JSON document; the same checks and errors as `load`."""
    top = document.fields(
        document.decoded(content, what=what, schema=SCHEMA, limit_bytes=LARGEST_BYTES),
        what,
        ("schema", "federation", "version", "members", "signatures"),
    )
    members = [
        card.from_fields(value, f"member {index} of {what}")
        for index, value in enumerate(document.items(top["members"], f"the members of {what}", MOST_MEMBERS), 1)
    ]
    signatures = [
        _signature(value, f"signature {index} of {what}")
        for index, value in enumerate(document.items(top["signatures"], f"the signatures of {what}", MOST_MEMBERS), 1)
    ]
    roster = Roster(
        federation=document.text(top["federation"], f"the federation of {what}", certificate.NAME),
        version=document.integer(top["version"], f"the version of {what}", 1, _MOST_VERSIONS),
        members=tuple(sorted(members, key=lambda m: m.name)),
        signatures=tuple(sorted(signatures)),
    )
    _check_members(roster)
    return roster


def convened(federation: str, members: Iterable[Member], *, after: Roster | None = None) -> Roster:
    """Return the unsigned draft that these members make.

    Args:
        federation: the federation's name, formed as a member's.
        members: as their cards have them, in any order.
        after: the roster that this one succeeds: the same federation, one version less.

    Raises:
        Misuse: a name that cannot be used.
        Refused: rule "roster": duplicates, not exactly one coordinator, fewer than three jurisdictions, an `after` of
            another federation.
    """
    if after is not None and after.federation != federation:
        raise Refused(f"the earlier roster is of {after.federation}, not of {federation}", rule="roster")
    roster = Roster(
        federation=certificate.checked_name(federation),
        version=1 if after is None else after.version + 1,
        members=tuple(sorted((card.checked(member) for member in members), key=lambda m: m.name)),
    )
    _check_members(roster)
    _check_roles(roster)
    return roster


def signed(roster: Roster, credentials: Credentials) -> Roster:
    """Return the roster with the signature of this member, who must be in it with exactly these keys.

    Raises:
        Misuse: the member is not in it.
        Refused: rule "roster": it has other keys for the member.
    """
    check_joined(credentials, roster)
    others = tuple(item for item in roster.signatures if item[0] != credentials.name)
    own = (credentials.name, credentials.sign(SCHEMA, roster.hash))
    return replace(roster, signatures=tuple(sorted((*others, own))))


def merged(roster: Roster, copy: Roster) -> Roster:
    """Return `roster` with the valid signatures of a copy of it. Raises Refused if the copy is of another roster."""
    if copy.hash != roster.hash:
        raise Refused("the copies differ in more than signatures", rule="roster", hint="everybody signs the same draft")
    valid = {name: signature for name, signature in copy.signatures if _valid(copy, name, signature)}
    return replace(roster, signatures=tuple(sorted({**dict(roster.signatures), **valid}.items())))


def unsigned_by(roster: Roster) -> tuple[str, ...]:
    """Return the names of the members whose signature is missing or wrong, in name order."""
    given = dict(roster.signatures)
    return tuple(
        member.name
        for member in sorted(roster.members, key=lambda m: m.name)
        if member.name not in given or not _valid(roster, member.name, given[member.name])
    )


def in_force(roster: Roster) -> Roster:
    """Return `roster` if it is complete and every member has signed it.

    Raises:
        Refused: rule "roster", naming the members whose signature is missing or wrong.
    """
    _check_members(roster)
    _check_roles(roster)
    lacking = unsigned_by(roster)
    if lacking:
        raise Refused(
            f"the roster of {roster.federation}, version {roster.version}, is not in force:"
            f" no valid signature of {', '.join(lacking)}",
            rule="roster",
            hint="each of them runs `federation roster sign`",
            party=lacking[0] if len(lacking) == 1 else "",
        )
    return roster


def fingerprint(roster: Roster) -> str:
    """Return what all members compare before they sign: 128 bits over every member, in eight groups of hex digits."""
    return card.readable(roster.hash)


def _signature(value: object, what: str) -> tuple[str, bytes]:
    given = document.fields(value, what, ("member", "signature"))
    name = document.text(given["member"], f"the member of {what}", certificate.NAME)
    return name, document.binary(given["signature"], what, 64, 64)


def _valid(roster: Roster, name: str, signature: bytes) -> bool:
    return signing.verify(roster.member(name).identity_key, SCHEMA, roster.hash, signature)


def _check_members(roster: Roster) -> None:
    for member in roster.members:
        card.checked(member)
    for what, values in (
        ("name", [member.name.encode() for member in roster.members]),
        ("identity key", [member.identity_key for member in roster.members]),
        ("certificate key", [certificate.public_key(member.tls_certificate) for member in roster.members]),
    ):
        repeated = {value for value, times in Counter(values).items() if times > 1}
        names = sorted(m.name for m, value in zip(roster.members, values, strict=True) if value in repeated)
        if names:
            raise Refused(f"the roster has one {what} twice: {', '.join(names)}", rule="roster")
    names = sorted(name for name, _ in roster.signatures)
    known = {member.name for member in roster.members}
    for name in names:
        if name not in known or names.count(name) > 1:
            raise Refused(f"the roster has a signature of {name} twice or of no member", rule="roster")


def _check_roles(roster: Roster) -> None:
    coordinators, jurisdictions = roster.with_role(Role.COORDINATOR), roster.with_role(Role.JURISDICTION)
    if len(coordinators) != 1:
        names = ", ".join(member.name for member in coordinators) or "none"
        raise Refused(
            f"a roster has exactly one coordinator, this one has: {names}",
            rule="roster",
            hint="collect the cards again with `federation roster init`",
        )
    if len(jurisdictions) < 3:
        raise Refused(
            f"a roster has at least 3 jurisdictions, this one has {len(jurisdictions)}",
            rule="roster",
            hint="with two, each could subtract itself from every sum",
        )

"""The roster's hash is the federation's trust: it changes with every field and with nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.domain.roster import Member, Role, Roster
from federation.errors import Misuse


def member(name: str, role: Role = Role.JURISDICTION) -> Member:
    """Return a member whose keys are made from its name."""
    key = hashlib.sha256(name.encode()).digest()
    return Member(name=name, role=role, identity_key=key, tls_certificate=b"certificate of " + name.encode())


ROSTER = Roster(
    federation="gba",
    version=1,
    members=(
        member("coordinator", Role.COORDINATOR),
        member("guangdong"),
        member("hongkong"),
        member("macao"),
        member("wong", Role.RESEARCHER),
    ),
)

CHANGES = {
    "name": "hong-kong",
    "role": Role.RESEARCHER,
    "identity_key": bytes(32),
    "tls_certificate": b"another certificate",
}


def with_member(changed: Member, *, old: str) -> Roster:
    """Return the roster with one member replaced."""
    return replace(ROSTER, members=tuple(changed if m.name == old else m for m in ROSTER.members))


@pytest.mark.parametrize("field", [field.name for field in fields(Member)])
def test_the_hash_changes_with_every_field_of_a_member(field: str) -> None:
    changed = replace(ROSTER.member("hongkong"), **{field: CHANGES[field]})
    assert with_member(changed, old="hongkong").hash != ROSTER.hash


@pytest.mark.parametrize("changes", [{"federation": "gbb"}, {"version": 2}, {"members": ROSTER.members[:-1]}])
def test_the_hash_changes_with_every_field_of_the_roster(changes: dict[str, object]) -> None:
    assert replace(ROSTER, **changes).hash != ROSTER.hash  # type: ignore[arg-type]


def test_every_field_of_a_roster_is_hashed_or_a_signature() -> None:
    assert {field.name for field in fields(Roster)} == {"federation", "version", "members", "signatures"}


def test_signatures_are_over_the_hash_and_not_in_it() -> None:
    assert replace(ROSTER, signatures=(("macao", bytes(64)),)).hash == ROSTER.hash


def test_the_order_of_members_does_not_matter() -> None:
    assert replace(ROSTER, members=ROSTER.members[::-1]).hash == ROSTER.hash


def test_the_hash_of_a_known_roster_stays_what_it_was() -> None:
    """Members signed it: a change of this figure is a new roster format and needs a new label."""
    assert ROSTER.hash.hex() == "c6a5fc324929444373108452e775b9e34080a6cefe1c2ceb62e2137bb3bb165c"


@given(st.binary(max_size=8), st.binary(max_size=8), st.binary(max_size=8), st.binary(max_size=8))
def test_bytes_cannot_move_from_one_field_to_the_next(a: bytes, b: bytes, c: bytes, d: bytes) -> None:
    first = replace(member("macao"), identity_key=a, tls_certificate=b)
    second = replace(member("macao"), identity_key=c, tls_certificate=d)
    same = replace(ROSTER, members=(first,)).hash == replace(ROSTER, members=(second,)).hash
    assert same == ((a, b) == (c, d))


def test_a_hash_without_lengths_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    first = replace(member("macao"), identity_key=b"ab", tls_certificate=b"c")
    second = replace(member("macao"), identity_key=b"a", tls_certificate=b"bc")
    monkeypatch.setattr(
        Roster,
        "canonical",
        property(lambda roster: b"".join(m.identity_key + m.tls_certificate for m in roster.members)),
    )
    assert replace(ROSTER, members=(first,)).hash == replace(ROSTER, members=(second,)).hash


def test_members_are_found_by_name_key_and_role() -> None:
    hongkong = ROSTER.member("hongkong")
    assert ROSTER.by_key_id(hongkong.key_id) == hongkong
    assert len(hongkong.key_id) == 16
    assert ROSTER.by_key_id(bytes(16)) is None
    assert [m.name for m in ROSTER.with_role(Role.JURISDICTION)] == ["guangdong", "hongkong", "macao"]
    assert [m.name for m in replace(ROSTER, members=ROSTER.members[::-1]).with_role(Role.JURISDICTION)] == [
        "guangdong",
        "hongkong",
        "macao",
    ]


def test_a_stranger_is_misuse_with_the_nearest_name() -> None:
    with pytest.raises(Misuse) as caught:
        ROSTER.member("hongkon")
    assert caught.value.hint == "did you mean 'hongkong'?"

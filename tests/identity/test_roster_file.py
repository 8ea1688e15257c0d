"""Roster files and cards: strict to read, atomic to write, and in force only when everybody signed the same."""

from __future__ import annotations

import base64
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto import signing
from federation.domain.roster import Member, Role, Roster
from federation.errors import FederationError, Misuse, Refused, Unavailable
from federation.identity import card, certificate, document, keys, roster_file
from tests.crypto import edwards25519 as curve

ROLES = {
    "relay": Role.COORDINATOR,
    "guangdong": Role.JURISDICTION,
    "hongkong": Role.JURISDICTION,
    "macao": Role.JURISDICTION,
    "ana": Role.RESEARCHER,
}
PEOPLE = {name: keys.made(name, role) for name, role in ROLES.items()}
DRAFT = roster_file.convened("gba", [one.member for one in PEOPLE.values()])


def signed_by(*names: str, roster: Roster = DRAFT) -> Roster:
    for name in names:
        roster = roster_file.signed(roster, PEOPLE[name])
    return roster


IN_FORCE = signed_by(*PEOPLE)


def test_a_roster_comes_back_from_its_file(tmp_path: Path) -> None:
    roster_file.save(tmp_path / "gba.json", IN_FORCE)
    assert roster_file.load(tmp_path / "gba.json") == IN_FORCE
    assert roster_file.in_force(IN_FORCE) is IN_FORCE
    assert [member.name for member in IN_FORCE.members] == sorted(ROLES)


def test_the_order_of_cards_and_signatures_does_not_matter() -> None:
    for names in itertools.islice(itertools.permutations(PEOPLE), 0, 120, 17):
        again = roster_file.convened("gba", [PEOPLE[name].member for name in names])
        assert (again, again.hash) == (DRAFT, DRAFT.hash)
        assert signed_by(*names, roster=again) == IN_FORCE


@pytest.mark.parametrize("absent", [["macao"], ["ana", "relay"], list(ROLES)])
def test_a_roster_without_every_signature_is_not_in_force_and_names_who_is_missing(absent: list[str]) -> None:
    roster = signed_by(*(name for name in ROLES if name not in absent))
    assert roster_file.unsigned_by(roster) == tuple(sorted(absent))
    with pytest.raises(Refused) as caught:
        roster_file.in_force(roster)
    assert caught.value.rule == "roster"
    assert ", ".join(sorted(absent)) in caught.value.message


def test_a_signature_over_anything_else_does_not_count() -> None:
    me = PEOPLE["macao"]
    for wrong in (
        me.sign(roster_file.SCHEMA, replace(DRAFT, version=2).hash),
        me.sign("federation/job/v1", DRAFT.hash),
        PEOPLE["hongkong"].sign(roster_file.SCHEMA, DRAFT.hash),
        bytes(64),
    ):
        given = replace(IN_FORCE, signatures=(*(s for s in IN_FORCE.signatures if s[0] != "macao"), ("macao", wrong)))
        assert roster_file.unsigned_by(given) == ("macao",)
        with pytest.raises(Refused, match="macao"):
            roster_file.in_force(given)


def test_without_the_verification_any_64_bytes_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    forged = replace(DRAFT, signatures=tuple((name, bytes(64)) for name in sorted(ROLES)))
    monkeypatch.setattr(signing, "verify", lambda *_: True)  # the planted fault
    assert roster_file.in_force(forged) is forged


def test_every_change_of_a_member_or_name_or_version_ends_all_signatures() -> None:
    other = keys.made("macao", Role.JURISDICTION).member
    changes: list[Callable[[Member], Member]] = [
        lambda m: replace(m, role=Role.RESEARCHER),
        lambda m: replace(m, identity_key=other.identity_key),
        lambda m: replace(m, tls_certificate=other.tls_certificate),
    ]
    changed = [
        replace(IN_FORCE, members=tuple(change(m) if m.name == "macao" else m for m in IN_FORCE.members))
        for change in changes
    ]
    changed += [replace(IN_FORCE, version=2), replace(IN_FORCE, federation="gba2")]
    for roster in changed:
        assert set(roster_file.unsigned_by(roster)) == set(ROLES)


def test_only_a_member_with_exactly_its_keys_signs() -> None:
    with pytest.raises(Refused, match="another key"):
        roster_file.signed(DRAFT, keys.made("macao", Role.JURISDICTION))
    with pytest.raises(Misuse, match="no member"):
        roster_file.signed(DRAFT, keys.made("taipa", Role.JURISDICTION))
    assert signed_by("macao", "macao") == signed_by("macao")


def test_signatures_collected_in_parallel_are_merged_and_foreign_ones_are_not() -> None:
    left, right = signed_by("macao", "relay"), signed_by("ana", "hongkong")
    assert roster_file.merged(left, right) == signed_by("macao", "relay", "ana", "hongkong")
    spoilt = replace(right, signatures=(("ana", bytes(64)), ("macao", bytes(64))))
    assert roster_file.merged(left, spoilt) == left
    with pytest.raises(Refused, match="differ"):
        roster_file.merged(left, replace(right, version=2))


def convened(**roles: Role) -> Roster:
    return roster_file.convened("gba", [keys.made(name, role).member for name, role in roles.items()])


def test_a_roster_has_one_coordinator_and_at_least_three_jurisdictions() -> None:
    three = dict.fromkeys(("a", "b", "c"), Role.JURISDICTION)
    assert len(convened(**three, relay=Role.COORDINATOR).members) == 4
    with pytest.raises(Refused, match="exactly one coordinator, this one has: none"):
        convened(**three)
    with pytest.raises(Refused, match="this one has: r, s"):
        convened(**three, r=Role.COORDINATOR, s=Role.COORDINATOR)
    with pytest.raises(Refused, match="at least 3 jurisdictions, this one has 2"):
        convened(a=Role.JURISDICTION, b=Role.JURISDICTION, r=Role.COORDINATOR, x=Role.RESEARCHER)


def test_too_few_jurisdictions_are_not_in_force_even_if_all_signed() -> None:
    few = Roster(federation="gba", version=1, members=tuple(m for m in DRAFT.members if m.name != "macao"))
    for name in ROLES:
        if name != "macao":
            few = roster_file.signed(few, PEOPLE[name])
    assert roster_file.unsigned_by(few) == ()
    with pytest.raises(Refused, match="at least 3"):
        roster_file.in_force(few)


def test_a_new_version_follows_the_old_one_of_the_same_federation() -> None:
    assert roster_file.convened("gba", DRAFT.members, after=IN_FORCE).version == 2
    with pytest.raises(Refused, match="not of delta"):
        roster_file.convened("delta", DRAFT.members, after=IN_FORCE)
    with pytest.raises(Misuse, match="name"):
        roster_file.convened("Greater Bay", DRAFT.members)


def with_key_of(victim: str, **changes: bytes) -> Member:
    return replace(PEOPLE[victim].member, name="twin", **changes)


def certificate_over(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """A second self-made certificate, of another name, over a key that exists already."""
    theirs = x509.load_der_x509_certificate(certificate.self_made(name)[1])
    builder = (
        x509.CertificateBuilder()
        .subject_name(theirs.subject)
        .issuer_name(theirs.issuer)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(theirs.not_valid_before_utc)
        .not_valid_after(theirs.not_valid_after_utc)
    )
    for extension in theirs.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_no_two_members_share_a_name_an_identity_key_or_a_certificate_key() -> None:
    key = serialization.load_pem_private_key(PEOPLE["macao"].tls_private_key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    fresh = keys.made("twin", Role.RESEARCHER).member
    for twin, what in (
        (keys.made("macao", Role.RESEARCHER).member, "one name twice: macao, macao"),
        (replace(fresh, identity_key=PEOPLE["macao"].member.identity_key), "one identity key twice: macao, twin"),
        (replace(fresh, tls_certificate=certificate_over(key, "twin")), "one certificate key twice: macao, twin"),
    ):
        with pytest.raises(Refused, match=what) as caught:
            roster_file.convened("gba", [*DRAFT.members, twin])
        assert caught.value.rule == "roster"


# --- identity keys and certificates -----------------------------------------------------------------------------------

WEAK = sorted({point[1] for point in curve.TORSION})


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [*WEAK, curve.PRIME, curve.PRIME + 1, 2**255 - 1])
def test_an_identity_key_that_anybody_could_sign_under_is_refused(y: int, sign: int) -> None:
    weak = replace(PEOPLE["macao"].member, identity_key=(y | sign << 255).to_bytes(32, "little"))
    with pytest.raises(Refused) as caught:
        card.checked(weak)
    assert (caught.value.rule, caught.value.party) == ("identity key", "macao")


def test_a_card_under_the_neutral_key_is_refused_though_one_signature_fits_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    neutral, forged = b"\x01" + bytes(31), b"\x01" + bytes(63)
    member = replace(PEOPLE["macao"].member, identity_key=neutral)
    document_ = {
        "schema": card.SCHEMA,
        "member": card.to_fields(member),
        "signature": document.base64_text(forged),
    }
    with pytest.raises(Refused, match="proper Ed25519"):
        card.decoded(document.encoded(document_), "the card")
    monkeypatch.setattr(signing, "is_proper", lambda _public: True)  # the planted fault; `verify` refuses all the same
    with pytest.raises(Refused, match="not signed by the key that it shows"):
        card.decoded(document.encoded(document_), "the card")


def made_badly(**changes: Any) -> bytes:
    """A certificate of macao with one thing wrong."""
    key = changes.get("key") or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, changes.get("subject", "macao"))])
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, changes.get("issuer", "macao"))])
    hosts = [x509.DNSName(host) for host in changes.get("hosts", ["macao.federation.internal"])]
    good = x509.load_der_x509_certificate(PEOPLE["macao"].member.tls_certificate)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(changes.get("begin", good.not_valid_before_utc))
        .not_valid_after(good.not_valid_after_utc)
    )
    given = {type(extension.value): extension for extension in good.extensions}
    given[x509.SubjectAlternativeName] = x509.Extension(
        x509.SubjectAlternativeName.oid, changes.get("critical", False), x509.SubjectAlternativeName(hosts)
    )
    given[x509.BasicConstraints] = x509.Extension(
        x509.BasicConstraints.oid, True, x509.BasicConstraints(changes.get("ca", False), None)
    )
    for kind, extension in given.items():
        if kind is not changes.get("lacks"):
            builder = builder.add_extension(extension.value, extension.critical)
    if "extra" in changes:
        builder = builder.add_extension(changes["extra"], critical=True)
    signer = changes.get("signer", key)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else changes.get("digest", hashes.SHA256())
    return builder.sign(signer, digest).public_bytes(serialization.Encoding.DER)


GOOD = PEOPLE["macao"].member.tls_certificate
BAD_CERTIFICATES = {
    "another host": made_badly(hosts=["hongkong.federation.internal"]),
    "two hosts": made_badly(hosts=["macao.federation.internal", "relay.federation.internal"]),
    "a wildcard": made_badly(hosts=["*.federation.internal"]),
    "no host": made_badly(lacks=x509.SubjectAlternativeName),
    "a critical host": made_badly(critical=True),
    "an authority": made_badly(ca=True),
    "no constraints": made_badly(lacks=x509.BasicConstraints),
    "no key usage": made_badly(lacks=x509.KeyUsage),
    "an extension that TLS does not know": made_badly(
        extra=x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"?")
    ),
    "another subject": made_badly(subject="relay"),
    "another issuer": made_badly(issuer="relay"),
    "another begin": made_badly(begin=datetime(2021, 1, 1, tzinfo=UTC)),
    "another curve": made_badly(key=ec.generate_private_key(ec.SECP384R1())),
    "an Ed25519 key": made_badly(key=ed25519.Ed25519PrivateKey.generate()),
    "another signer": made_badly(signer=ec.generate_private_key(ec.SECP256R1())),
    "another hash": made_badly(digest=hashes.SHA512()),
    "a byte more": GOOD + b"\x00",
    "a byte less": GOOD[:-1],
    "a longer length": b"\x30\x83\x00" + GOOD[2:],
    "too big": bytes(5000),
    "empty": b"",
}


@pytest.mark.parametrize("name", BAD_CERTIFICATES)
def test_a_certificate_that_we_would_not_have_made_is_refused(name: str) -> None:
    with pytest.raises(Refused) as caught:
        card.checked(replace(PEOPLE["macao"].member, tls_certificate=BAD_CERTIFICATES[name]))
    assert caught.value.rule == "certificate"
    assert "macao" in caught.value.message


def test_the_bad_certificates_have_one_thing_wrong_each() -> None:
    card.checked(replace(PEOPLE["macao"].member, tls_certificate=made_badly()))


def test_every_flipped_bit_of_a_certificate_is_refused() -> None:
    good = PEOPLE["macao"].member
    for position, bit in itertools.product(range(len(good.tls_certificate)), range(8)):
        flipped = bytearray(good.tls_certificate)
        flipped[position] ^= 1 << bit
        with pytest.raises(Refused):
            card.checked(replace(good, tls_certificate=bytes(flipped)))


def test_every_flipped_byte_of_a_card_is_refused() -> None:
    good = PEOPLE["macao"].member
    content = PEOPLE["macao"].card()
    for position in range(0, len(content), 3):
        changed = bytearray(content)
        changed[position] ^= 0x01
        try:
            assert card.decoded(bytes(changed), "the card") == good  # white space between the fields
            assert content[position : position + 1].isspace()
        except FederationError:
            pass


# --- the file ---------------------------------------------------------------------------------------------------------


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(roster_file.encoded(IN_FORCE))
    change(value)
    return json.dumps(value).encode()


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not a JSON"),
    "not UTF-8": (b"\xff\xfe", "not a JSON"),
    "a list": (b"[]", "schema"),
    "another schema": (edited(lambda v: v.update(schema="federation/member/v1")), "schema"),
    "no schema": (edited(lambda v: v.pop("schema")), "schema"),
    "an unknown key": (edited(lambda v: v.update(versoin=1)), "did you mean 'version'"),
    "an unknown key of a member": (edited(lambda v: v["members"][0].update(rol="x")), "did you mean 'role'"),
    "a missing key": (edited(lambda v: v.pop("members")), "lacks the key 'members'"),
    "a missing key of a member": (edited(lambda v: v["members"][2].pop("role")), "member 3 .* lacks the key 'role'"),
    "a key twice": (roster_file.encoded(IN_FORCE).replace(b'"version": 1', b'"version": 1, "version": 1'), "twice"),
    "not a number": (roster_file.encoded(IN_FORCE).replace(b'"version": 1', b'"version": NaN'), "not JSON"),
    "a huge number": (
        roster_file.encoded(IN_FORCE).replace(b'"version": 1', b'"version": ' + b"9" * 5000),
        "not a JSON",
    ),
    "deep": (b"[" * 100_000, "not a JSON"),
    "version 0": (edited(lambda v: v.update(version=0)), "whole number"),
    "version true": (edited(lambda v: v.update(version=True)), "whole number"),
    "version 1.0": (edited(lambda v: v.update(version=1.0)), "whole number"),
    "version 2^31": (edited(lambda v: v.update(version=2**31)), "whole number"),
    "a federation with capitals": (edited(lambda v: v.update(federation="GBA")), "federation"),
    "a name that is none": (edited(lambda v: v["members"][0].update(name="Ana")), "name of member 1"),
    "a role that is none": (edited(lambda v: v["members"][0].update(role="king")), "role of member 1"),
    "a key as a number": (edited(lambda v: v["members"][0].update(identity_key=5)), "32 bytes"),
    "a short key": (edited(lambda v: v["members"][0].update(identity_key="AAAA")), "32 bytes"),
    "a second spelling": (edited(lambda v: v["members"][0].update(identity_key="A" * 42 + "B=")), "base64"),
    "white space in base64": (edited(lambda v: v["members"][0].update(identity_key="AA\n" + "A" * 41 + "=")), "base64"),
    "a long certificate": (edited(lambda v: v["members"][0].update(tls_certificate="A" * 9000)), "base64"),
    "members as an object": (edited(lambda v: v.update(members={})), "list"),
    "too many members": (edited(lambda v: v.update(members=[0] * 1025)), "at most 1024"),
    "a member as a text": (edited(lambda v: v.update(members=["ana"])), "must be an object"),
    "a signature twice": (edited(lambda v: v["signatures"].append(v["signatures"][0])), "twice"),
    "a signature of no member": (edited(lambda v: v["signatures"][0].update(member="taipa")), "no member"),
    "a short signature": (edited(lambda v: v["signatures"][0].update(signature="AAAA")), "64 bytes"),
    "a member twice": (edited(lambda v: v["members"].append(v["members"][0])), "twice"),
    "too big": (b" " * (roster_file.LARGEST_BYTES + 1), "more than"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_not_plainly_a_roster_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    content, match = BAD_FILES[name]
    (tmp_path / "roster.json").write_bytes(content)
    with pytest.raises((Misuse, Refused), match=match) as caught:
        roster_file.load(tmp_path / "roster.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_missing_file_is_a_misuse_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"nowhere\.json"):
        roster_file.load(tmp_path / "nowhere.json")
    with pytest.raises(Misuse, match="directory"):
        roster_file.load(tmp_path)


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_no_content_raises_anything_but_our_errors(content: bytes) -> None:
    for read in (roster_file.decoded, lambda c: card.decoded(c, "the card")):
        with pytest.raises(FederationError):
            read(content)


def test_a_card_is_refused_when_name_role_or_key_are_exchanged() -> None:
    good = json.loads(PEOPLE["macao"].card())
    for change in (
        {"role": "coordinator"},
        {"identity_key": base64.b64encode(PEOPLE["ana"].member.identity_key).decode()},
    ):
        content = json.dumps(good | {"member": good["member"] | change}).encode()
        with pytest.raises(Refused) as caught:
            card.decoded(content, "the card")
        assert caught.value.rule == "card"
    with pytest.raises(Misuse, match="schema"):
        card.decoded(roster_file.encoded(IN_FORCE), "the card")
    with pytest.raises(Misuse, match="more than"):
        card.decoded(b" " * 20_000, "the card")


def test_fingerprints_differ_by_every_field_and_can_be_read_aloud() -> None:
    macao, other = PEOPLE["macao"].member, keys.made("macao", Role.JURISDICTION).member
    shown = {
        card.fingerprint(member)
        for member in (
            macao,
            replace(macao, name="macau"),
            replace(macao, role=Role.RESEARCHER),
            replace(macao, identity_key=other.identity_key),
            replace(macao, tls_certificate=other.tls_certificate),
        )
    }
    assert len(shown) == 5
    assert all(len(group) == 4 for text in shown for group in text.split(" "))


# --- writing ----------------------------------------------------------------------------------------------------------


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_reader_sees_the_old_roster_or_the_new_one_and_never_half(tmp_path: Path) -> None:
    path = tmp_path / "roster.json"
    versions = [DRAFT, signed_by("macao"), IN_FORCE]
    roster_file.save(path, DRAFT)
    ended = threading.Event()

    def write() -> None:
        for roster in itertools.chain.from_iterable(itertools.repeat(versions, 20)):
            roster_file.save(path, roster)
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not ended.is_set():
        assert roster_file.decoded(path.read_bytes()) in versions
        seen += 1
    writer.join()
    assert seen > 5
    assert names_in(tmp_path) == ["roster.json"]


def test_a_file_that_may_not_be_replaced_stays(tmp_path: Path) -> None:
    roster_file.save(tmp_path / "roster.json", IN_FORCE)
    with pytest.raises(Misuse, match="exists already"):
        roster_file.save(tmp_path / "roster.json", DRAFT, replace_file=False)
    assert roster_file.load(tmp_path / "roster.json") == IN_FORCE
    roster_file.save(tmp_path / "new.json", DRAFT, replace_file=False)
    assert names_in(tmp_path) == ["new.json", "roster.json"]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fail(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    yield
    monkeypatch.undo()


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    roster_file.save(tmp_path / "roster.json", IN_FORCE)
    request.getfixturevalue("full_disk")
    with pytest.raises(Unavailable, match="No space"):
        roster_file.save(tmp_path / "roster.json", DRAFT)
    assert roster_file.load(tmp_path / "roster.json") == IN_FORCE
    assert names_in(tmp_path) == ["roster.json"]


def test_a_folder_that_does_not_exist_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        roster_file.save(tmp_path / "no" / "roster.json", DRAFT)

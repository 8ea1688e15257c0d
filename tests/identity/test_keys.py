"""Key folders: whole or absent, the owner's alone, and never anybody else's."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from pathlib import Path

import pytest

from federation.crypto import signing
from federation.domain.roster import Role
from federation.errors import Misuse, Refused, Unavailable
from federation.identity import card, document, keys
from federation.identity.certificate import host_of

FILES = {"card.json", "identity.key", "storage.key", "tls.key"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys.create(tmp_path / "keys", "macao", Role.JURISDICTION)
    return tmp_path / "keys"


def refusal(folder: Path) -> Refused:
    with pytest.raises(Refused) as caught:
        keys.load(folder)
    assert caught.value.rule == "key files"
    assert "\n" not in str(caught.value)
    return caught.value


def test_what_was_created_is_loaded(tmp_path: Path) -> None:
    made = keys.create(tmp_path / "deep" / "er" / "keys", "hong-kong-2", Role.JURISDICTION)
    assert keys.load(tmp_path / "deep" / "er" / "keys") == made
    assert (made.name, made.role) == ("hong-kong-2", Role.JURISDICTION)
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["keys"]


def test_the_folder_is_0700_and_every_file_0600_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys.create(tmp_path / "keys", "macao", Role.JURISDICTION)
    finally:
        os.umask(before)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == dict.fromkeys(
        FILES, 0o600
    )


def test_signatures_are_those_of_the_identity_key_under_a_domain(folder: Path) -> None:
    me = keys.load(folder)
    signature = me.sign("federation/test/v1", b"body")
    assert signing.verify(me.member.identity_key, "federation/test/v1", b"body", signature)
    assert not signing.verify(me.member.identity_key, "federation/other/v1", b"body", signature)


def test_two_members_share_no_secret() -> None:
    one, two = keys.made("macao", Role.JURISDICTION), keys.made("macao", Role.JURISDICTION)
    for name in ("identity_key", "tls_private_key", "storage_key", "tls_certificate"):
        assert getattr(one, name) != getattr(two, name)
    assert len(one.storage_key) == 32


def test_no_form_of_printing_shows_a_secret(folder: Path) -> None:
    me = keys.load(folder)
    shown = f"{me} {me!r} {[me]} {me.member!r} {me.card().decode()}"
    for secret in (me.identity_key, me.storage_key):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
    assert "PRIVATE" not in shown
    with pytest.raises(dataclasses.FrozenInstanceError):
        me.identity_key = b""  # type: ignore[misc]


@pytest.mark.parametrize(
    "name", ["", "A", "1a", "-a", "a_b", "a.b", "a b", "../a", "a/b", "a" * 64, "é", "a\n", "macao\x00"]
)
def test_a_name_is_lower_case_letters_digits_and_hyphens(tmp_path: Path, name: str) -> None:
    with pytest.raises(Misuse, match="name"):
        keys.create(tmp_path / "keys", name, Role.JURISDICTION)
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name_has_a_certificate(tmp_path: Path) -> None:
    made = keys.create(tmp_path / "keys", "a" * 63, Role.RESEARCHER)
    assert host_of(made.name) == "a" * 63 + ".federation.internal"


def test_keys_are_never_overwritten(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(Misuse, match="never overwritten"):
        keys.create(folder, "macao", Role.JURISDICTION)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["keys"]


def test_a_folder_with_anything_in_it_is_left_alone_and_an_empty_one_is_used(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").touch()
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for taken in ("other", "file", "link"):
        with pytest.raises(Misuse, match="exists already"):
            keys.create(tmp_path / taken, "macao", Role.JURISDICTION)
    keys.create(tmp_path / "empty", "macao", Role.JURISDICTION)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "link", "other"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    real = document.write

    def write(path: Path, content: bytes, *, mode: int) -> None:
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content, mode=mode)

    monkeypatch.setattr(document, "write", write)
    with pytest.raises(Unavailable, match="No space"):
        keys.create(tmp_path / "keys", "macao", Role.JURISDICTION)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", sorted(FILES))
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o666, 0o644])
def test_a_file_that_others_may_touch_is_refused_with_the_command_that_repairs_it(
    folder: Path, file: str, mode: int
) -> None:
    (folder / file).chmod(mode)
    error = refusal(folder)
    assert str(folder / file) in error.message
    assert f"chmod 600 {folder / file}" in error.hint
    (folder / file).chmod(0o600)
    keys.load(folder)


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_a_folder_that_others_may_enter_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert f"chmod 700 {folder}" in refusal(folder).hint


@pytest.mark.parametrize("file", sorted(FILES))
def test_a_missing_a_linked_a_piped_and_an_empty_file_are_refused(folder: Path, file: str, tmp_path: Path) -> None:
    path, aside = folder / file, tmp_path / "aside"
    path.rename(aside)
    assert "No such file" in refusal(folder).message
    path.symlink_to(aside)
    assert "symbolic link" in refusal(folder).message
    path.unlink()
    os.mkfifo(path, 0o600)
    assert "not a regular file" in refusal(folder).message  # and opening it did not wait for a writer
    path.unlink()
    path.mkdir(0o700)
    assert "not a regular file" in refusal(folder).message
    path.rmdir()
    path.touch(0o600)
    assert str(path) in refusal(folder).message
    path.write_bytes(bytes(20_000))
    assert "too big" in refusal(folder).message


def test_a_missing_and_a_linked_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    assert "roster join" in refusal(tmp_path / "nowhere").hint
    (tmp_path / "link").symlink_to(folder)
    assert "symbolic link" in refusal(tmp_path / "link").message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("file", [*sorted(FILES), ""])
def test_somebody_else_s_file_or_folder_is_refused(folder: Path, file: str) -> None:
    os.chown(folder / file, 12345, -1)
    assert "another user" in refusal(folder).message


@pytest.mark.parametrize("file", sorted(FILES))
def test_a_file_of_another_member_is_refused_unless_it_is_the_storage_key(
    folder: Path, file: str, tmp_path: Path
) -> None:
    keys.create(tmp_path / "other", "macao", Role.JURISDICTION)
    shutil.copy(tmp_path / "other" / file, folder / file)
    if file == "storage.key":
        keys.load(folder)  # it is bound to nothing: the sealed storage refuses it
    else:
        assert str(folder) in refusal(folder).message


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("identity.key", b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n"),
        ("tls.key", b"nonsense"),
        ("storage.key", b"00" * 31),
        ("storage.key", b"00" * 33),
        ("storage.key", b"zz" * 32),
        ("storage.key", b"\xff" * 64),
        ("card.json", b"{}"),
        ("card.json", b"\xff"),
    ],
)
def test_malformed_contents_are_refused_without_quoting_them(folder: Path, file: str, content: bytes) -> None:
    (folder / file).write_bytes(content)
    error = refusal(folder)
    assert str(folder / file) in error.message
    assert "nonsense" not in str(error)


def test_keys_of_the_wrong_kind_are_refused(folder: Path) -> None:
    tls, identity = (folder / "tls.key").read_bytes(), (folder / "identity.key").read_bytes()
    (folder / "identity.key").write_bytes(tls)
    assert "Ed25519" in refusal(folder).message
    (folder / "identity.key").write_bytes(identity)
    (folder / "tls.key").write_bytes(identity)
    assert "certificate" in refusal(folder).message


def test_an_edited_card_is_refused(folder: Path) -> None:
    path = folder / "card.json"
    path.write_bytes(path.read_bytes().replace(b'"jurisdiction"', b'"coordinator"'))
    assert "not signed" in refusal(folder).message


def test_without_the_look_at_the_mode_a_readable_key_would_be_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "identity.key").chmod(0o644)
    monkeypatch.setattr(keys, "_check", lambda _status, _path, *, folder: None)  # the planted fault
    assert keys.load(folder).name == "macao"


def test_a_card_can_be_read_by_anybody_and_speaks_for_its_key(folder: Path) -> None:
    me = keys.load(folder)
    assert card.decoded(me.card(), "the card") == me.member
    assert card.fingerprint(me.member) == card.fingerprint(
        card.decoded((folder / "card.json").read_bytes(), "the card")
    )
    assert len(card.fingerprint(me.member).split()) == 8

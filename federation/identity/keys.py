"""A member's key folder, and `Credentials`, the open form of it.

The folder (0700) holds four files (0600): `identity.key` (Ed25519, signs messages), `tls.key` (P-256, opens
connections), `storage.key` (32 bytes, seals what this machine remembers) and `card.json` (the public part,
self-signed). Refuses to overwrite, and refuses to load what somebody else could have read or put there: wrong mode,
wrong owner, links, odd files. Keys have no passphrase: a daemon starts alone after a power cut. Python cannot wipe
them from memory.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.crypto import signing
from federation.domain.roster import Member, Role, Roster
from federation.errors import FederationError, Misuse, Refused, Unavailable
from federation.identity import card, certificate, document

CARD = "card.json"
IDENTITY = "identity.key"
TLS = "tls.key"
STORAGE = "storage.key"
_LARGEST_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who this process is, with its secrets; its repr shows none of them.

    Attributes:
        member: the public part, as the roster must have it.
        identity_key: Ed25519 private key, 32 bytes.
        tls_private_key: P-256 private key, PEM.
        storage_key: seals `federation.identity.sealed`, 32 bytes.
    """

    member: Member
    identity_key: bytes = field(repr=False)
    tls_private_key: bytes = field(repr=False)
    storage_key: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"Credentials({self.name!r}, {self.role.value!r})"

    @property
    def name(self) -> str:
        """The member's name."""
        return self.member.name

    @property
    def role(self) -> Role:
        """The member's role."""
        return self.member.role

    @property
    def tls_certificate(self) -> bytes:
        """The self-made certificate, PEM."""
        return certificate.pem(self.member.tls_certificate)

    def sign(self, domain: str, body: bytes) -> bytes:
        """Return the member's Ed25519 signature of `body` under the ASCII domain tag, 64 bytes."""
        return signing.sign(self.identity_key, domain, body)

    def card(self) -> bytes:
        """Return the member's card, a JSON document that holds no secret."""
        return card.encoded(self.member, self.identity_key)


def made(name: str, role: Role) -> Credentials:
    """Return new credentials that exist only in memory, for a federation in one process and for tests."""
    certificate.checked_name(name)
    identity_key = secrets.token_bytes(32)
    tls_private_key, tls_certificate = certificate.self_made(name)
    return Credentials(
        member=Member(
            name=name, role=role, identity_key=signing.public_key(identity_key), tls_certificate=tls_certificate
        ),
        identity_key=identity_key,
        tls_private_key=tls_private_key,
        storage_key=secrets.token_bytes(32),
    )


def create(folder: Path, name: str, role: Role) -> Credentials:
    """Make new keys for `name` and write them to `folder`, which appears whole or not at all.

    Args:
        folder: must not exist, or be empty.
        name: `[a-z][a-z0-9-]{0,62}`, unique in the roster.
        role: what the roster will let the member do.

    Raises:
        Misuse: the name cannot be used, or the folder holds something; nothing is ever overwritten.
        Unavailable: the system cannot write there.
    """
    credentials = made(name, role)
    identity = Ed25519PrivateKey.from_private_bytes(credentials.identity_key).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = {
        IDENTITY: identity,
        TLS: credentials.tls_private_key,
        STORAGE: credentials.storage_key.hex().encode() + b"\n",
        CARD: credentials.card(),
    }
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))  # 0700
        for file, content in files.items():
            document.write(temporary / file, content, mode=0o600)
        temporary.rename(folder)  # fails if `folder` is a file, a link, or not empty
        document.sync_folder(folder.parent)
    except OSError as cause:
        if os.path.lexists(folder):
            raise Misuse(
                f"{folder} exists already and is not an empty folder; keys are never overwritten",
                hint="name a new folder, or load the keys that are there",
            ) from None
        raise Unavailable(f"keys cannot be written to {folder}: {cause.strerror}") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return credentials


def load(folder: Path) -> Credentials:
    """Return the credentials in `folder`, after checking that nobody else could read or replace them.

    Raises:
        Refused: rule "key files": the file concerned and the command that repairs it.
    """
    opened = _open(folder, os.O_DIRECTORY, None, folder)
    try:
        _check(os.fstat(opened), folder, folder=True)
        contents = {file: _content(opened, folder / file) for file in (CARD, IDENTITY, TLS, STORAGE)}
    finally:
        os.close(opened)
    try:
        member = card.decoded(contents[CARD], f"the file {folder / CARD}")
    except FederationError as cause:
        raise Refused(cause.message, rule="key files", hint="restore the folder from your own backup") from None
    identity_key = _identity_key(contents[IDENTITY], folder / IDENTITY)
    if signing.public_key(identity_key) != member.identity_key:
        raise _malformed(folder / IDENTITY, f"is not the key of {folder / CARD}")
    if not certificate.belongs(contents[TLS], member.tls_certificate):
        raise _malformed(folder / TLS, f"is not the key of the certificate in {folder / CARD}")
    return Credentials(
        member=member,
        identity_key=identity_key,
        tls_private_key=contents[TLS],
        storage_key=_storage_key(contents[STORAGE], folder / STORAGE),
    )


def check_joined(credentials: Credentials, roster: Roster) -> None:
    """Check that the roster has this member with exactly these keys and this role.

    Raises:
        Misuse: the roster has no member of this name.
        Refused: rule "roster": it has another key, certificate or role under the name.
    """
    if roster.member(credentials.name) != credentials.member:
        raise Refused(
            f"the roster of {roster.federation} has another key, certificate or role for {credentials.name}",
            rule="roster",
            hint="use the key folder whose card the roster was made from, or ask for a new version of the roster",
            party=credentials.name,
        )


def _open(name: Path | str, flags: int, folder: int | None, path: Path) -> int:
    try:
        # O_NONBLOCK: opening a pipe that somebody put there would wait for ever.
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=folder)
    except OSError as cause:
        if path.is_symlink():
            raise Refused(f"{path} is a symbolic link", rule="key files", hint="put the real thing there") from None
        hint = "make keys with `federation roster join`" if isinstance(cause, FileNotFoundError) else f"ls -ld {path}"
        raise Refused(f"{path} cannot be opened: {cause.strerror}", rule="key files", hint=hint) from None


def _content(folder: int, path: Path) -> bytes:
    opened = _open(path.name, 0, folder, path)
    try:
        _check(os.fstat(opened), path, folder=False)
        content = os.read(opened, _LARGEST_BYTES + 1)  # one read gives all of a regular file of this size
    finally:
        os.close(opened)
    if len(content) > _LARGEST_BYTES:
        raise _malformed(path, "is too big to be a key")
    return content


def _check(status: os.stat_result, path: Path, *, folder: bool) -> None:
    if not (stat.S_ISDIR if folder else stat.S_ISREG)(status.st_mode):
        kind = "folder" if folder else "file"
        raise Refused(
            f"{path} is not a regular {kind}", rule="key files", hint="restore the folder from your own backup"
        )
    if status.st_uid != os.geteuid():
        raise Refused(
            f"{path} belongs to another user", rule="key files", hint=f"run as its owner, or: chown $(id -u) {path}"
        )
    if status.st_mode & 0o077:
        raise Refused(
            f"{path} can be read or written by other users (mode {stat.S_IMODE(status.st_mode):04o})",
            rule="key files",
            hint=f"chmod {'700' if folder else '600'} {path}, and make new keys if somebody may have read them",
        )


def _identity_key(content: bytes, path: Path) -> bytes:
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        raise _malformed(path, "is not a key in PKCS #8 PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _malformed(path, "is not an Ed25519 key")
    return key.private_bytes_raw()


def _storage_key(content: bytes, path: Path) -> bytes:
    try:
        key = bytes.fromhex(content.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise _malformed(path, "is not 32 bytes in hex")
    return key


def _malformed(path: Path, what: str) -> Refused:
    return Refused(f"{path} {what}", rule="key files", hint="restore the folder from your own backup")

"""The bundles that a jurisdiction's own operator approved, in its state folder; looked at whenever one is about to run.

A bundle may run here with the signatures of two different jurisdictions of the roster as it is now, and with the
approval of this jurisdiction's operator, which lies beside it under this jurisdiction's identity key. So a byte that
was changed, an approval that was withdrawn or a signer who left the roster ends it.

Refused, all by rule "bundle": what was not approved, or altered since; a second bundle of the same name and version;
links, and files that others may write.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from clients.jurisdiction import bundle_file
from clients.jurisdiction.bundle_file import LARGEST_BYTES, Bundle
from federation.crypto import signing
from federation.domain.job import digest
from federation.domain.roster import Roster
from federation.errors import FederationError, Misuse, Refused, Unavailable
from federation.identity import document
from federation.wire.envelope import Signer

APPROVED: Final = "federation/bundle/approval/v1"  # what the operator's approval means
FOLDER: Final = "bundles"  # in a state folder
_SIGNATURE: Final = 64  # bytes


class Bundles:
    """The approved bundles of one jurisdiction, in its state folder.

    Args:
        state: the state folder.
        me: the jurisdiction, whose identity key stands under every approval.
        roster: in force now.
    """

    def __init__(self, state: Path, me: Signer, roster: Roster) -> None:
        self._state, self._folder, self._me, self._roster = state, state / FOLDER, me, roster

    @property
    def state(self) -> Path:
        """The state folder, which no sandbox shows."""
        return self._state

    def approve(self, found: Bundle) -> tuple[str, ...]:
        """Let jobs run this bundle here; return who has signed it.

        Raises:
            Refused: rule "bundle": too few signatures, or another bundle of this name and version is approved.
            Unavailable: the system cannot write there.
        """
        counted = bundle_file.check_reviewed(found, self._roster)
        for one in self.all():
            same = (one.manifest.name, one.manifest.version) == (found.manifest.name, found.manifest.version)
            if same and one.manifest.digest != found.manifest.digest:
                raise Refused(
                    f"another bundle of this name and version is approved here: {one.title}",
                    rule="bundle",
                    hint="the author gives a new version, or `federation bundle withdraw` the other one first",
                )
        try:
            for folder in (self._state, self._folder):  # the mode is of the last one that mkdir makes
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            raise Unavailable(f"{self._folder} cannot be made: {fault.strerror}") from None
        content = bundle_file.encoded(found)
        document.write(self._path(found.manifest.digest, ".bundle"), content, mode=0o600)
        approval = self._me.sign(APPROVED, self._approved(content))
        document.write(self._path(found.manifest.digest, ".approval"), approval, mode=0o600)
        return counted

    def withdraw(self, called: bytes) -> bool:
        """Take an approval back; return whether there was one. A job that runs is refused its next round."""
        there = self._path(called, ".approval").exists()
        for ending in (".approval", ".bundle"):
            self._path(called, ending).unlink(missing_ok=True)
        return there

    def approved(self, called: bytes) -> Bundle:
        """Return the bundle of this hash, read and checked anew.

        Raises:
            Refused: rule "bundle": not approved here, altered since, or no longer signed by enough of the roster.
        """
        short, me = called.hex()[:12], self._me.member
        path, beside = self._path(called, ".bundle"), self._path(called, ".approval")
        if not path.exists() or not beside.exists():
            raise Refused(
                f"{me.name} has not approved bundle {short}",
                rule="bundle",
                hint="its operator reads the bundle, then runs `federation bundle approve`",
                party=me.name,
            )
        try:
            content, approval = _own(path, LARGEST_BYTES), _own(beside, _SIGNATURE)
            found = bundle_file.decoded(content, f"the approved bundle {short}")
        except FederationError as fault:
            raise self._altered(short, fault.message) from None
        if found.manifest.digest != called or not signing.verify(
            me.identity_key, APPROVED, self._approved(content), approval
        ):
            raise self._altered(short, "it is not what was approved")
        bundle_file.check_reviewed(found, self._roster)
        return found

    def all(self) -> list[Bundle]:
        """Return what is approved and could be read, in name order; `approved` says what may run."""
        found = []
        for path in self._folder.glob("*.bundle"):
            try:
                found.append(bundle_file.decoded(_own(path, LARGEST_BYTES), f"the bundle {path.name}"))
            except FederationError:
                continue
        return sorted(found, key=lambda one: (one.manifest.name, one.manifest.version, one.manifest.digest))

    def _altered(self, short: str, why: str) -> Refused:
        return Refused(
            f"{self._me.member.name} cannot run bundle {short}: {why}",
            rule="bundle",
            hint="it was altered after its approval; find out by whom, then approve the original again",
            party=self._me.member.name,
        )

    def _approved(self, content: bytes) -> bytes:
        return digest(APPROVED, self._roster.federation.encode(), content)

    def _path(self, called: bytes, ending: str) -> Path:
        return self._folder / f"{called.hex()}{ending}"


def _own(path: Path, limit_bytes: int) -> bytes:
    """Return the bytes of a regular file of ours that nobody else may write. Raises Misuse."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as fault:
        raise Misuse(f"{path.name} cannot be opened: {fault.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise Misuse(f"{path.name} is not a file of this user alone")
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise Misuse(f"{path.name} is too big")
    return content

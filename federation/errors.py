"""The tree of errors, and nothing else.

Two roots of blame: ours (`Refused`, `Unavailable`, `Misuse`) and theirs (`ProtocolViolation`). Every error says who,
where, what was expected, what was got and what to do next, and never carries a data value: a message may cross a
border.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class FederationError(Exception):
    """Anything that this software raises on purpose.

    Attributes:
        code: stable name for programs, snake_case.
        exit_code: the process exit status that the command line ends with (DESIGN section 6).
        message: one sentence: who, where, expected, got.
        hint: the next step, or "".
        party: the jurisdiction concerned, or "".
    """

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str = "", party: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.party = party

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Misuse(FederationError):
    """The caller asked for something that has no meaning: wrong name, type, range or configuration. Exit 2."""

    code = "misuse"
    exit_code = 2


class Refused(FederationError):
    """A rule of a jurisdiction, or of the protocol, says no. Exit 3.

    Attributes:
        rule: the rule's name, as `federation.policy.rules` has it, or the protocol's clause.
    """

    code = "refused"
    exit_code = 3

    def __init__(self, message: str, *, rule: str, hint: str = "", party: str = "") -> None:
        super().__init__(message, hint=hint, party=party)
        self.rule = rule


class Unavailable(FederationError):
    """Somebody who is needed did not answer in time, or too few did. Exit 4."""

    code = "unavailable"
    exit_code = 4


class Unreachable(Unavailable):
    """No connection, or an identity that is not the pinned one. Exit 5."""

    code = "unreachable"
    exit_code = 5


class JobFailed(FederationError):
    """The job ended without a result for a reason that is neither a refusal nor a time-out. Exit 1."""

    code = "job_failed"
    exit_code = 1


class ProtocolViolation(FederationError):
    """A member sent what an honest member would not send. Exit 1.

    Attributes:
        party: who is to blame (a member's name; the coordinator is one).
        phase: the step of the protocol in which it happened.
        expected: what an honest member would have sent.
        got: what came, in words; never a data value.
    """

    code = "protocol_violation"
    exit_code = 1

    def __init__(self, party: str, *, phase: str, expected: str, got: str, hint: str = "") -> None:
        super().__init__(
            f"{party} broke the protocol in {phase}: expected {expected}, got {got}", hint=hint, party=party
        )
        self.phase = phase
        self.expected = expected
        self.got = got

    @classmethod
    def told(cls, message: str, *, party: str, hint: str = "") -> ProtocolViolation:
        """Return a violation that somebody else found and told in one sentence."""
        found = cls(party, phase="", expected="", got="", hint=hint)
        found.message = message
        return found


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the nearest known word, or the list of known words, or ""."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(names)}" if names and len(names) <= 20 else ""

"""The tree of errors: who is to blame is a type, and every type ends the command line with its own status."""

from __future__ import annotations

import pytest

from federation import errors
from federation.errors import (
    FederationError,
    JobFailed,
    Misuse,
    ProtocolViolation,
    Refused,
    Unavailable,
    Unreachable,
    did_you_mean,
)


def every_type() -> list[type[FederationError]]:
    return [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, FederationError)]


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (FederationError, "internal", 70),
        (JobFailed, "job_failed", 1),
        (ProtocolViolation, "protocol_violation", 1),
        (Misuse, "misuse", 2),
        (Refused, "refused", 3),
        (Unavailable, "unavailable", 4),
        (Unreachable, "unreachable", 5),
    ],
)
def test_each_error_has_the_code_and_exit_status_of_the_design(
    error: type[FederationError], code: str, exit_code: int
) -> None:
    assert (error.code, error.exit_code) == (code, exit_code)


def test_no_error_is_missing_from_the_table_above() -> None:
    assert len(every_type()) == 7


def test_codes_are_unique_and_exit_statuses_survive_a_shell() -> None:
    found = every_type()
    assert len({error.code for error in found}) == len(found)
    assert all(0 < error.exit_code <= 125 for error in found)


def test_an_unreachable_member_is_an_unavailable_one() -> None:
    assert issubclass(Unreachable, Unavailable)


def test_ours_and_theirs_are_different_types() -> None:
    ours = (Refused, Unavailable, Misuse)
    assert not any(issubclass(ProtocolViolation, error) or issubclass(error, ProtocolViolation) for error in ours)


def test_an_error_prints_its_message_and_the_way_out() -> None:
    assert str(Misuse("no such verb", hint="did you mean 'plan'?")) == "no such verb (did you mean 'plan'?)"
    assert str(Misuse("no such verb")) == "no such verb"


def test_a_refusal_names_rule_and_party() -> None:
    refusal = Refused("macao refuses", rule="purposes", hint="ask for statistics", party="macao")
    assert (refusal.rule, refusal.party, refusal.hint) == ("purposes", "macao", "ask for statistics")


def test_a_violation_says_who_where_what_was_due_and_what_came() -> None:
    violation = ProtocolViolation("macao", phase="collecting", expected="one vector", got="a second one", hint="ask")
    assert str(violation) == "macao broke the protocol in collecting: expected one vector, got a second one (ask)"
    assert (violation.party, violation.phase) == ("macao", "collecting")
    assert (violation.expected, violation.got) == ("one vector", "a second one")


def test_a_violation_blames_somebody_by_position() -> None:
    with pytest.raises(TypeError):
        ProtocolViolation(phase="collecting", expected="one vector", got="none")  # type: ignore[call-arg]


@pytest.mark.parametrize("typed", ["meen", "Mean", "meann", "mea"])
def test_a_near_word_is_proposed(typed: str) -> None:
    assert did_you_mean(typed, ["count", "mean", "var"]) == "did you mean 'mean'?"


def test_a_far_word_gets_the_list_and_a_long_list_gets_nothing() -> None:
    assert did_you_mean("zzz", ["var", "count"]) == "known: count, var"
    assert did_you_mean("zzz", []) == ""
    assert did_you_mean("zzz", [f"column_{i}" for i in range(21)]) == ""
    assert did_you_mean("zzz", (f"c{i}" for i in range(20))).startswith("known: c0, ")


def test_the_proposal_does_not_depend_on_the_order_of_the_known_words() -> None:
    known = ["mean", "mead", "meal"]
    assert {did_you_mean("meax", order) for order in (known, known[::-1], [known[1], known[0], known[2]])} == {
        did_you_mean("meax", known)
    }

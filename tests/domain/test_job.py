"""Ids are injective over their parts, a job has no field for code, and a life ends in exactly three states."""

from __future__ import annotations

import hashlib
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.domain import job
from federation.domain.job import Computation, Job, State, digest

parts = st.lists(st.binary(max_size=6), max_size=4)


@given(parts, parts)
def test_two_lists_of_parts_have_one_digest_only_if_they_are_equal(a: list[bytes], b: list[bytes]) -> None:
    assert (digest("label", *a) == digest("label", *b)) == (a == b)


@given(st.lists(st.binary(min_size=1, max_size=6), min_size=2, max_size=4), st.data())
def test_the_same_bytes_cut_elsewhere_have_another_digest(whole: list[bytes], data: st.DataObject) -> None:
    joined = b"".join(whole)
    cut = data.draw(st.integers(0, len(joined)))
    other = [joined[:cut], joined[cut:]]
    assert (digest("label", *whole) == digest("label", *other)) == (whole == other)


@given(st.text("abc/", max_size=5), st.text("abc/", max_size=5), st.binary(max_size=5))
def test_a_label_keeps_its_domain_apart(one: str, other: str, part: bytes) -> None:
    assert (digest(one, part) == digest(other, part)) == (one == other)
    assert digest(one, part) != digest(one)


def test_a_label_is_no_part() -> None:
    assert digest("a", b"b") != digest("ab")
    assert digest("a", b"") != digest("a")


def test_the_digest_of_known_parts_stays_what_it_was() -> None:
    written_out = b"".join(len(part).to_bytes(8, "big") + part for part in (b"label", b"one", b""))
    assert digest("label", b"one", b"") == hashlib.sha256(written_out).digest()


def test_a_label_is_ascii() -> None:
    with pytest.raises(UnicodeEncodeError):
        digest("標")


def test_a_digest_without_lengths_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "digest", lambda label, *parts: hashlib.sha256(label.encode() + b"".join(parts)).digest())
    assert job.digest("label", b"a", b"bc") == job.digest("label", b"ab", b"c")


def test_a_job_carries_names_and_no_code() -> None:
    """A field that is added to what strangers sign is a decision: it is added here too."""
    assert {field.name for field in fields(Computation)} == {"name", "version", "parameters"}
    assert {field.name for field in fields(Job)} == {
        "computations",
        "dataset",
        "deadline_ms",
        "key",
        "max_rounds",
        "minimum_parties",
        "name",
        "parties",
        "project",
        "protection",
        "publications",
        "purpose",
        "researcher",
        "roster_hash",
        "token",
        "where",
    }


def test_three_states_end_a_life_and_three_do_not() -> None:
    assert {state for state in State if state.ended} == {State.RELEASED, State.REFUSED, State.ABORTED}
    assert {state for state in State if not state.ended} == {State.SUBMITTED, State.UNDER_REVIEW, State.RUNNING}


def test_fewer_than_three_parties_are_never_the_default() -> None:
    assert Job.__dataclass_fields__["minimum_parties"].default == 3

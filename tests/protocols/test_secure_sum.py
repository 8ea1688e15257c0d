"""The values that all secure sums share: what a setup refuses, and that every field is part of its id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from federation import registry
from federation.crypto.ring import CHUNK_BYTES
from federation.errors import Misuse, Refused
from federation.protocols.machine import Transition, fold
from federation.protocols.masked_sum import MaskedSum
from federation.protocols.secure_sum import SecureSum
from federation.protocols.setup import Check, Setup, Spec, chunk_sizes, chunked, colluders_of
from tests.protocols.cohort import names, setup_of, spec_of


def test_a_protocol_is_found_by_its_name() -> None:
    assert registry.look_up("federation.protocols", SecureSum, "masked_sum") is MaskedSum
    assert MaskedSum.name == "masked_sum"


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_parties_are_refused(n: int) -> None:
    with pytest.raises(Refused, match="at least 3 parties") as caught:
        setup_of(n)
    assert caught.value.rule == "secure_sum/parties"


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 6, "colluders": 0},
        {"threshold": 11},
        {"colluders": 4},
        {"colluders": -1},
        {"least": 6},
        {"least": 11},
        {"threshold": 1, "colluders": 0, "least": 3},
        {"threshold": 5, "colluders": 0, "least": 5},
    ],
    ids=str,
)
def test_an_unsafe_threshold_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(Refused, match="not safe") as caught:
        replace(setup_of(10), **changes)  # type: ignore[arg-type]
    assert caught.value.rule == "secure_sum/threshold"


@pytest.mark.parametrize("parties", [("p1", "p0", "p2"), ("p0", "p1", "p1", "p2")])
def test_parties_are_sorted_and_named_once(parties: tuple[str, ...]) -> None:
    with pytest.raises(Misuse, match="sorted"):
        replace(setup_of(3), parties=parties)


@pytest.mark.parametrize(
    "changes", [{"job_hash": b"short"}, {"roster_hash": b"short"}, {"round_index": -1}, {"attempt": -1}], ids=str
)
def test_a_setup_without_whole_hashes_and_counts_is_misuse(changes: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match="32-byte hashes"):
        replace(setup_of(3), **changes)


KEYED = Setup.keyed(job_hash=b"j" * 32, round_index=0, roster_hash=b"r" * 32, parties=names(4), key=b"n" * 32)


def test_nobody_may_be_missing_and_all_others_may_collude_under_a_joint_key() -> None:
    assert (KEYED.threshold, KEYED.least, KEYED.colluders, KEYED.withdrawals) == (4, 4, 3, 4)


@pytest.mark.parametrize(
    "changes", [{"threshold": 3, "colluders": 0}, {"threshold": 3, "colluders": 0, "least": 3}], ids=str
)
def test_a_joint_key_without_one_of_its_holders_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(Refused, match="needs all its holders") as caught:
        replace(KEYED, **changes)  # type: ignore[arg-type]
    assert caught.value.rule == "secure_sum/threshold"


def test_two_holders_of_a_joint_key_are_too_few_for_a_sum() -> None:
    with pytest.raises(Refused, match="at least 3 parties"):
        Setup.keyed(job_hash=b"j" * 32, round_index=0, roster_hash=b"r" * 32, parties=names(2), key=b"n" * 32)


def test_a_joint_key_is_named_by_32_bytes() -> None:
    with pytest.raises(Misuse, match="32 bytes"):
        replace(KEYED, key=b"short")


@pytest.mark.parametrize("bits", [0, 129, -1])
def test_a_number_of_no_bits_or_more_than_the_ring_holds_is_misuse(bits: int) -> None:
    with pytest.raises(Misuse, match="1 to 128 bits"):
        replace(spec_of(setup_of(3), 1), value_bits=bits)


@pytest.mark.parametrize(
    "changes",
    [
        {"length": 0},
        {"round_digest": b"short"},
        {"transcript_hash": b"short"},
        {"encoding": b"short"},
        {"ring": "z2^32"},
    ],
    ids=str,
)
def test_a_spec_without_whole_digests_and_numbers_is_misuse(changes: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match=r"at least one element|32-byte digests"):
        replace(spec_of(setup_of(3), 1), **changes)


SETUP = replace(setup_of(10), least=10)
SPEC = spec_of(SETUP, 5)
TABLE = {3: (3, 2), 4: (3, 1), 5: (4, 2), 6: (5, 3), 7: (5, 2), 10: (7, 3), 64: (43, 21), 100: (67, 33)}
SETUP_CHANGES: dict[str, Any] = {
    "job_hash": b"k" * 32,
    "round_index": 1,
    "attempt": 1,
    "roster_hash": b"s" * 32,
    "parties": (*names(9), "q"),
    "threshold": 8,
    "colluders": 2,
    "least": 9,
    "key": b"x" * 32,
}
SPEC_CHANGES: dict[str, Any] = {
    "setup": setup_of(10, attempt=1),
    "round_digest": b"x" * 32,
    "transcript_hash": b"x" * 32,
    "length": 6,
    "ring": "z2^64",
    "encoding": b"e" * 32,
    "check": Check.SAMPLE,
    "value_bits": 64,
}


@pytest.mark.parametrize("name", SETUP_CHANGES)
def test_every_field_of_a_setup_is_in_its_hash(name: str) -> None:
    setup = KEYED if name == "key" else SETUP
    assert replace(setup, **{name: SETUP_CHANGES[name]}).hash != setup.hash


@pytest.mark.parametrize("name", SPEC_CHANGES)
def test_every_field_of_a_spec_is_in_its_hash(name: str) -> None:
    assert replace(SPEC, **{name: SPEC_CHANGES[name]}).hash != SPEC.hash


def test_no_field_of_a_setup_or_a_spec_is_left_out_of_these_tests() -> None:
    assert set(SETUP_CHANGES) == set(Setup.__dataclass_fields__)
    assert set(SPEC_CHANGES) == set(Spec.__dataclass_fields__)


@pytest.mark.parametrize("length", [1, 2, CHUNK_BYTES // 16 - 1, CHUNK_BYTES // 16, CHUNK_BYTES // 16 + 1, 40_000])
def test_chunks_have_the_sizes_that_the_length_says(length: int) -> None:
    data = bytes(16 * length)
    assert tuple(map(len, chunked(data))) == chunk_sizes(length)
    assert b"".join(chunked(data)) == data


@pytest.mark.parametrize("n", TABLE)
def test_the_standard_setup_promises_what_the_table_says(n: int) -> None:
    setup = Setup.standard(
        job_hash=bytes(32), round_index=0, roster_hash=bytes(32), parties=[f"p{i:03}" for i in range(n)]
    )
    t, c = TABLE[n]
    assert (setup.threshold, setup.colluders, setup.least, setup.withdrawals) == (t, c, t, n - t + 1 + c)


@pytest.mark.parametrize("n", range(3, 101))
def test_every_standard_setup_is_as_safe_as_it_says_and_no_safer_than_it_can_be(n: int) -> None:
    setup = Setup.standard(
        job_hash=bytes(32), round_index=0, roster_hash=bytes(32), parties=[f"p{i:03}" for i in range(n)]
    )
    t, c = setup.threshold, setup.colluders
    assert 2 * t > n + c >= 2 * t - 1, "two lists of t agree in an honest party, and with one more colluder need not"
    assert n - setup.withdrawals + c < t, "those who did not withdraw, and all who lie, are too few"
    assert colluders_of(n, t) == c


@pytest.mark.parametrize("n", range(4, 40))
def test_what_was_promised_to_many_is_kept_when_fewer_are_left(n: int) -> None:
    promised = setup_of(n)
    for left in range(3, n):
        kept = Setup.standard(
            job_hash=bytes(32),
            round_index=1,
            roster_hash=bytes(32),
            parties=names(n)[:left],
            colluders=min(promised.colluders, left - 1),
        )
        assert kept.colluders >= min(promised.colluders, left - 1), (n, left)


def test_a_fold_collects_all_effects_in_order() -> None:
    def step(state: int, event: int) -> Transition[int, str]:
        return Transition(state + event, (f"{state}+{event}",))

    assert fold(step, 0, [1, 2, 3]) == Transition(6, ("0+1", "1+2", "3+3"))

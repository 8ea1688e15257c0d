"""Lists worked on by two threads: in order, whole, and with gmpy2 letting the other thread run."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import gmpy2
import pytest

from federation.crypto import blinding
from federation.crypto.paillier.spreading import in_runs


def doubled(run: Sequence[int]) -> list[int]:
    return [2 * each for each in run]


def test_results_come_in_order_however_many_there_are(two_threads: ThreadPoolExecutor) -> None:
    for count in range(9):
        assert in_runs(range(count), doubled) == list(range(0, 2 * count, 2))


def test_two_threads_work_and_both_let_go_of_the_interpreter(two_threads: ThreadPoolExecutor) -> None:
    together = threading.Barrier(2, timeout=20)
    seen = []

    def work(run: Sequence[int]) -> list[int]:
        together.wait()
        seen.append((threading.get_ident(), gmpy2.get_context().allow_release_gil))
        return list(run)

    assert in_runs([1, 2, 3], work) == [1, 2, 3]
    assert len({thread for thread, _ in seen}) == 2
    assert [lets_go for _, lets_go in seen] == [True, True]
    assert not gmpy2.get_context().allow_release_gil, "the caller's own context stays as it was"


def test_alone_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blinding, "_LENT", [])
    assert in_runs([1, 2], lambda run: [gmpy2.get_context().allow_release_gil] * len(run)) == [False, False]


def test_what_a_run_raises_reaches_the_caller(two_threads: ThreadPoolExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        in_runs([1, 0, 1], lambda run: [1 // each for each in run])

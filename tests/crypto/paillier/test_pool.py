"""Blindings made beforehand: right, each given out once, to one thread of one process."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from federation.crypto.paillier.engine import Engine
from federation.crypto.paillier.keys import OwnerKey, PublicKey
from federation.crypto.paillier.pool import Pool

ENTROPY = bytes(range(32))


@pytest.fixture
def pool(public: PublicKey) -> Pool:
    filled = Pool(public, ENTROPY, os.getpid)
    filled.fill(40)
    return filled


def in_a_child(work: object) -> object:
    """What `work` returns in a forked process."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, json.dumps(work()).encode())  # type: ignore[operator]
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = json.load(pipe)
    os.waitpid(child, 0)
    return told


def test_a_blinding_is_an_exponent_with_its_power(pool: Pool, public: PublicKey) -> None:
    for alpha, power in pool.take(3):
        assert 0 <= alpha < 1 << public.alpha_bits
        assert power == pow(public.hs, alpha, public.n**2)


def test_no_blinding_is_given_out_twice(pool: Pool) -> None:
    first = pool.take(30)
    assert len(pool) == 10
    pool.fill(20)
    rest = pool.take(100)
    assert len(rest) == 30
    assert pool.take(1) == []
    assert len({alpha for alpha, _ in first + rest}) == 60


def test_two_threads_never_get_the_same(public: PublicKey) -> None:
    shared = Pool(public, ENTROPY, os.getpid)
    shared.fill(2000)
    with ThreadPoolExecutor(4) as threads:
        taken = [alpha for some in threads.map(shared.take, [7] * 300) for alpha, _ in some]
    assert len(taken) == len(set(taken)) == 2000


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # from Python 3.12 on, where threads are about
def test_after_a_fork_parent_and_child_blind_differently(pool: Pool) -> None:
    def some() -> list[int]:
        had = len(pool)
        pool.fill(5)
        return [had, *(alpha for alpha, _ in pool.take(100))]

    had, *of_the_child = in_a_child(some)  # type: ignore[misc]
    assert had == 0, "what the parent had is the parent's"
    assert len(of_the_child) == 5
    had, *of_the_parent = some()
    assert (had, len(of_the_parent)) == (40, 45)
    assert not set(of_the_child) & set(of_the_parent)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_pool_that_cannot_tell_processes_apart_gives_both_the_same(public: PublicKey) -> None:
    """The planted fault: two plaintexts under one alpha, and their difference can be read."""
    blind = Pool(public, ENTROPY, lambda: 1)
    blind.fill(3)

    def encrypted(plaintext: int) -> int:
        return int(Engine(public, ENTROPY, blind).encrypt([plaintext])[0])

    one = in_a_child(lambda: encrypted(1000))
    other = encrypted(17)
    assert one * pow(other, -1, public.n**2) % public.n**2 == 1 + (1000 - 17) * public.n  # type: ignore[operator]


def test_a_descendant_with_a_number_that_was_used_before_has_other_blindings(public: PublicKey) -> None:
    """Numbers of processes come again; what is derived from one goes on from what its parent had."""
    number = 1
    moved = Pool(public, ENTROPY, lambda: number)
    moved.fill(3)
    first = set(moved.take(3))
    number = 2
    assert len(moved) == 0
    number = 1
    moved.fill(3)
    assert not first & set(moved.take(3))


def test_an_engine_takes_from_the_pool_what_there_is(owner: OwnerKey, pool: Pool) -> None:
    engine = Engine(owner.public, ENTROPY, pool)
    plaintexts = list(range(50))
    found = engine.encrypt(plaintexts)
    assert len(pool) == 0
    assert owner.decrypt(found) == plaintexts
    assert len(set(found)) == 50
    again = engine.encrypt(plaintexts)
    assert not set(found) & set(again)
    assert engine._ready == {}, "every power that was taken was used"


def test_alphas_out_of_the_pool_are_the_ones_that_blind(owner: OwnerKey, pool: Pool) -> None:
    engine = Engine(owner.public, ENTROPY, pool)
    plaintexts = list(range(45))
    alphas = engine.alphas(plaintexts)
    square = owner.public.n**2
    expected = [
        (1 + owner.public.n * plaintext) * pow(owner.public.hs, alpha, square) % square
        for plaintext, alpha in zip(plaintexts, alphas, strict=True)
    ]
    assert engine.encrypt(plaintexts, alphas) == expected

"""Powers of one base by tables: always what a plain power gives, for every table and every length of exponents."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto.compiled import LeftOut
from federation.crypto.paillier import comb as room
from federation.crypto.paillier.comb import Comb, comb
from federation.crypto.paillier.keys import OwnerKey, PublicKey
from federation.errors import Misuse

SMALL = [shape for shape in room._SHAPES if shape != (11, 16)]


def plainly(key: PublicKey, exponent: int, shift: int = 0) -> int:
    return pow(key.hs, exponent, key.n**2) * (1 + key.n * shift) % key.n**2


TABLES: dict[tuple[int, int] | None, room._Table | None] = {None: None}


@pytest.mark.parametrize("shape", [None, *SMALL], ids=str)
@given(data=st.data())
def test_every_table_gives_the_power(shape: tuple[int, int] | None, data: st.DataObject, public: PublicKey) -> None:
    powers = Comb(public.n, public.hs, public.alpha_bits)
    if shape not in TABLES and shape is not None:
        TABLES[shape] = powers._table(*shape)
    bits = public.alpha_bits
    edges = st.sampled_from([0, 1, 2**bits - 1, 2**bits, 2 ** (bits - 1), 2 ** (bits + 120) - 1])
    exponents = data.draw(st.lists(st.one_of(edges, st.integers(0, 2 ** (bits + 130))), max_size=4))
    shifts = [data.draw(st.integers(0, public.n - 1)) for _ in exponents]
    with mock.patch.object(Comb, "_fitting", lambda self, _: TABLES[shape] if self is powers else None):
        found = powers.powers(exponents, shifts)
    assert found == [plainly(public, *pair) for pair in zip(exponents, shifts, strict=True)]


@pytest.mark.parametrize("bits", [256, 257, 300, 384, 385, 512, 513, 700])
def test_long_exponents_go_through_combs_of_combs(bits: int, public: PublicKey) -> None:
    powers = Comb(public.n, public.hs, public.alpha_bits)
    exponents = [2**bits - 1 - 3**place for place in range(30)] + [2**bits, 5, 0]
    for turn in range(20):
        with LeftOut() if turn < 19 else nullcontext():
            found = powers.powers(exponents, [7] * 33)
        assert found == [plainly(public, exponent, 7) for exponent in exponents]
    combs, upper = 0, powers._upper
    while upper is not None:
        assert upper._built, "after hundreds of powers a table pays"
        combs, upper = combs + 1, upper._upper
    assert combs == -(-(bits + 1 - public.alpha_bits) // room._UPPER_BITS)


def test_tables_grow_with_use_and_always_give_the_power(owner_of: Callable[[int], OwnerKey]) -> None:
    key = owner_of(2048).public
    powers = Comb(key.n, key.hs, key.alpha_bits)
    sizes = []
    for count in (1, 2, 20, 200):
        exponents = [(7**300 + 3**place) % 2**key.alpha_bits for place in range(count)]
        with LeftOut():
            found = powers.powers(exponents, range(count))
        assert found[:2] == [plainly(key, *pair) for pair in zip(exponents[:2], range(2), strict=False)]
        sizes.append(next((len(table.xs) for table in powers._built.values()), 0))
    assert sizes[0] == 0, "one power alone is not worth a table"
    assert sizes == sorted(sizes)
    assert len(set(sizes)) >= 3
    assert len(powers._built) == 1, "a table that is too small is forgotten"


def test_the_largest_table_comes_with_thousands_of_powers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Comb, "_table", lambda self, *shape: shape)
    powers = Comb(3 << 2046, 5, 1024)
    with LeftOut():
        assert powers._fitting(1) is None
        found = [powers._fitting(count) for count in (1, 20, 200, 1000, 8000, 1)]
    assert found == [(6, 4), (6, 4), (8, 8), (10, 8), (11, 16), (11, 16)]


def test_both_cores_find_the_same(public: PublicKey, two_threads: ThreadPoolExecutor) -> None:
    exponents = [3**place for place in range(40)]
    powers = Comb(public.n, public.hs, public.alpha_bits)
    expected = [plainly(public, exponent, 5) for exponent in exponents]
    assert powers.powers(exponents, [5] * 40) == expected
    assert powers.powers(exponents[:1], [5]) == expected[:1]
    assert powers.powers([]) == []


def test_a_base_keeps_its_tables(public: PublicKey) -> None:
    assert comb(public.n, public.hs, 256) is comb(public.n, public.hs, 256)
    assert comb(public.n, public.hs, 256) is not comb(public.n, public.hs + 1, 256)


def test_a_negative_exponent_is_misuse(public: PublicKey) -> None:
    with pytest.raises(Misuse):
        Comb(public.n, public.hs, 256).powers([1, -1])

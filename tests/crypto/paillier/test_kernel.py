"""The compiled kernel computes what gmpy2 does, at every length and edge, or is not used; nothing needs it.

It is compiled for these tests with whatever compiler there is, checks included that a product does not have.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.crypto.compiled import LeftOut
from federation.crypto.paillier import kernel
from federation.crypto.paillier.comb import Comb, comb
from federation.crypto.paillier.engine import Engine
from federation.crypto.paillier.kernel import LANES, Lanes, agrees, lanes, loaded
from federation.crypto.paillier.keys import OwnerKey, PublicKey
from federation.crypto.paillier.powers import all_powers, each_power
from federation.crypto.paillier.threshold import JointKey, KeyShare, combine, partials

SOURCE = Path(kernel.__file__).with_name("kernel.c")
ENTROPY = bytes(range(32))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no compiler")
    file = tmp_path_factory.mktemp("kernel") / "_kernel.so"
    warnings = ["-Wall", "-Wextra", "-Werror"]
    made = subprocess.run([compiler, "-O1", *warnings, "-fPIC", "-shared", "-o", file, SOURCE], check=False)
    if made.returncode:
        pytest.skip("a compiler that cannot")
    return file


@pytest.fixture(scope="session")
def library(built: Path) -> ctypes.CDLL:
    if not ctypes.CDLL(str(built)).usable():
        pytest.skip("no AVX-512 IFMA")
    found = loaded(str(built))
    assert found is not None, "compiled, usable, and not used"
    return found


@pytest.fixture
def in_use(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kernel is there, with tables of its own."""
    monkeypatch.setattr(kernel, "loaded", lambda: library)
    comb.cache_clear()
    yield
    comb.cache_clear()


lengths = st.sampled_from([64, 203, 204, 205, 256, 448, 512, 1020, 1024, 1536, 2048, 3072, 4096, 4156])


@settings(max_examples=60)
@given(data=st.data())
def test_its_powers_are_those_of_python(data: st.DataObject, library: ctypes.CDLL) -> None:
    bits = data.draw(lengths)
    n = data.draw(st.sampled_from([2**bits - 1, 2 ** (bits - 1) + 1, data.draw(st.integers(0, 2**bits - 1)) | 1]))
    n |= 1 << (bits - 1)
    own, square = Lanes(library, n), n * n
    edges = st.sampled_from([0, 1, n - 1, n, n + 1, square - n, square - 1, square // 2])
    pairs = data.draw(
        st.lists(
            st.tuples(st.one_of(edges, st.integers(0, square - 1)), st.one_of(st.just(0), st.integers(0, 2**100))),
            min_size=1,
            max_size=2 * LANES + 1,
        )
    )
    bases, exponents = [list(each) for each in zip(*pairs, strict=True)]
    expected = [pow(base % square, exponent, square) for base, exponent in pairs]
    assert own.powers([base % square for base in bases], exponents) == expected
    assert [own.power(base % square, exponent) for base, exponent in pairs] == expected


@pytest.mark.usefixtures("in_use")
@pytest.mark.parametrize("bits", [512, 2048, 3072])
@pytest.mark.parametrize("count", [2, 7, 8, 9, 300])
def test_its_combs_are_plain_powers(bits: int, count: int, owner_of: Callable[[int], OwnerKey]) -> None:
    public = owner_of(bits).public
    powers = Comb(public.n, public.hs, public.alpha_bits)
    exponents = [(7**900 + 3**place) % 2 ** (public.alpha_bits + 5 * (place % 3)) for place in range(count)]
    for _ in range(2):
        found = powers.powers(exponents, range(count))
        with LeftOut():
            assert found[-3:] == powers.powers(exponents, range(count))[-3:]
    last = count - 1
    square = public.n**2
    assert found[last] == pow(public.hs, exponents[last], square) * (1 + public.n * last) % square
    assert any(table.cells for table in powers._built.values()), "it went through the kernel"


@pytest.mark.usefixtures("in_use")
@pytest.mark.parametrize("shape", [(6, 4), (8, 8), (10, 8)])
def test_every_table_gives_the_same_in_lanes(shape: tuple[int, int], public: PublicKey, library: ctypes.CDLL) -> None:
    powers = Comb(public.n, public.hs, public.alpha_bits)
    table, square = powers._table(*shape), powers._square
    places = table.places([0, 2**public.alpha_bits - 1, *[5**place for place in range(30)]])
    for (x, u), columns in zip(table.in_lanes(Lanes(library, public.n), places), places.tolist(), strict=True):
        expected, total = table.factors(columns, square)
        assert (x % square, u) == (expected, total)


@pytest.mark.usefixtures("in_use")
def test_keys_open_and_engines_encrypt_alike_with_and_without_it(
    owner: OwnerKey, joint: JointKey, shares: dict[str, KeyShare], two_threads: ThreadPoolExecutor
) -> None:
    plain = [3**place for place in range(40)]
    sent = Engine(joint.public, ENTROPY).encrypt(plain)
    answers = {name: partials(joint, share, sent) for name, share in shares.items()}
    assert combine(joint, sent, answers) == plain
    mine = Engine(owner.public, ENTROPY).encrypt(plain)
    assert owner.decrypt(mine) == plain
    with LeftOut():
        assert lanes(owner.public.n) is None
        assert Engine(joint.public, ENTROPY).encrypt(plain) == sent
        assert {name: partials(joint, share, sent) for name, share in shares.items()} == answers
        assert owner.decrypt(mine) == plain
    assert lanes(owner.public.n) is not None


@pytest.mark.usefixtures("in_use")
def test_powers_of_either_sign_and_many_exponents(public: PublicKey) -> None:
    n, square = public.n, public.n**2
    for count in (0, 1, 5, 6, 7, 8, 9, 13, 14, 16, 27):
        bases = [3**place + 1 for place in range(count)]
        assert all_powers(n, bases, -(7**50)) == [pow(base, -(7**50), square) for base in bases]
        assert each_power(n, bases, bases) == [pow(base, base, square) for base in bases]


@pytest.mark.usefixtures("in_use", "two_threads")
def test_powers_come_back_in_order_from_two_threads(public: PublicKey) -> None:
    for count in (1, 2, 5, 8, 9, 15, 17, 29):
        bases = [5**place + 2 for place in range(count)]
        assert each_power(public.n, bases, bases) == [pow(base, base, public.n**2) for base in bases]


def test_what_it_cannot_take_goes_through_gmpy2(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "loaded", lambda: library)
    assert lanes(2**4156 - 1) is not None
    assert lanes(2**4157 - 1) is None
    assert lanes(2**512) is None
    n = 2**4200 - 1
    assert all_powers(n, [2, 3], 5) == [32, 243]


class Twisted:
    """A kernel that errs in one function."""

    def __init__(self, library: ctypes.CDLL, function: str, every: int) -> None:
        self._library, self._function, self._every, self._calls = library, function, every, 0

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, name)
        if name != self._function:
            return function

        def wrong(*arguments: Any) -> Any:
            result = function(*arguments)
            self._calls += 1
            if self._calls == self._every:
                place = -2 if name == "comb" else -1
                ctypes.c_uint8.from_address(arguments[place]).value ^= 1
            return result

        return wrong


@pytest.mark.parametrize("function", ["powers", "power", "comb"])
@pytest.mark.parametrize("every", [1, 6])
def test_a_kernel_that_errs_in_one_bit_is_not_used(function: str, every: int, library: ctypes.CDLL) -> None:
    assert agrees(library)
    assert not agrees(Twisted(library, function, every))  # type: ignore[arg-type]


def test_without_a_kernel_there_is_none(tmp_path: Path) -> None:
    assert loaded(str(tmp_path / "nothing.so")) is None
    (tmp_path / "text.so").write_text("no library")
    assert loaded(str(tmp_path / "text.so")) is None


@pytest.mark.parametrize("change", [("return 1; }", "return 2; }"), ('__builtin_cpu_supports("avx512f")', "0")])
def test_another_revision_or_processor_is_not_used(change: tuple[str, str], built: Path, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    assert built.exists()
    assert compiler
    source = SOURCE.read_text("utf-8")
    assert source.count(change[0]) == 1
    (tmp_path / "other.c").write_text(source.replace(*change), "utf-8")
    subprocess.run([compiler, "-O0", "-fPIC", "-shared", "-o", tmp_path / "other.so", tmp_path / "other.c"], check=True)
    assert loaded(str(tmp_path / "other.so")) is None

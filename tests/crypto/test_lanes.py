"""The compiled loops give what numpy gives, to the bit, at every length and edge, or are not used; nothing needs them.

They are compiled for these tests with whatever compiler there is.
"""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.crypto import blinding, encoding, lanes, ring
from federation.crypto.compiled import LeftOut
from federation.crypto.encoding import BadTotal, Packing
from federation.crypto.lanes import Kernel, Rule, agrees, kernel, loaded
from federation.errors import Misuse
from federation.protocols.setup import chunked

SOURCE = Path(lanes.__file__).with_name("lanes.c")
SHARED = ["-fPIC", "-shared"]
FLAGS = ["-O3", "-ffp-contract=off", *SHARED]  # as `make kernel`
CPUINFO = Path("/proc/cpuinfo")
PROCESSOR = CPUINFO.read_text("utf-8").split() if CPUINFO.exists() else []
SHAPES = [
    (1, 31, 100),
    (2, 22, 1023),
    (2, 31, 2),
    (3, 17, 15),
    (4, 12, 16),
    (5, 22, 8),
    (7, 16, 4),
    (9, 12, 4),
]  # lanes, bits, parties
LANES = sorted(encoding.LANES)
SMALL = 8  # words of a chunk where a test wants many
Compile = Callable[..., Path]


@pytest.fixture(scope="session")
def compile_(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compile lanes.c with texts replaced; each has to be there once."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no compiler")

    def compiled(*changes: tuple[str, str], flags: list[str] = FLAGS) -> Path:
        folder = tmp_path_factory.mktemp("lanes")
        source = SOURCE.read_text("utf-8")
        for old, new in changes:
            assert source.count(old) == 1, old
            source = source.replace(old, new)
        (folder / "lanes.c").write_text(source, "utf-8")
        warnings = [] if changes else ["-Wall", "-Wextra", "-Werror"]
        made = subprocess.run([compiler, *flags, *warnings, "-o", folder / "lanes.so", folder / "lanes.c"], check=False)
        if made.returncode:
            pytest.skip("a compiler that cannot")
        return folder / "lanes.so"

    return compiled


@pytest.fixture(scope="session")
def loops(compile_: Compile) -> Kernel:
    found = loaded(str(compile_()))
    assert found is not None, "compiled, and not used"
    return found


@pytest.fixture
def in_use(loops: Kernel, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Vectors of any length go through the loops, and some do."""
    used = Counting(loops)
    monkeypatch.setattr(lanes, "loaded", lambda: used)
    monkeypatch.setattr(lanes, "LEAST", 1)
    yield
    assert used.calls, "nothing went through the loops"


class Counting(Kernel):
    """The loops, and how often they were called."""

    def __init__(self, loops: Kernel) -> None:
        super().__init__(loops._library)
        self.calls = 0

    def fill(self, *arguments: Any) -> Any:
        self.calls += 1
        return super().fill(*arguments)

    def read(self, *arguments: Any) -> Any:
        self.calls += 1
        return super().read(*arguments)


def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "CHUNK_WORDS", SMALL)
    monkeypatch.setattr(encoding, "_PIECE", 12)


def in_chunks(words: Any) -> list[memoryview]:
    data, size = memoryview(words), 8 * encoding.CHUNK_WORDS
    return [data[start : start + size] for start in range(0, len(data), size)]


def same_both_ways(how: Packing, values: np.ndarray, **others: Any) -> None:
    """Assert that `values` are encoded and decoded alike with and without the loops, and a sum of three too."""
    one = how.encode(values, **others)
    total = np.frombuffer(one.words, "<u8").copy()
    for _ in range(min(3, how.parties) - 1):
        how.ring.add_into(total, np.frombuffer(one.words, "<u8"))
    total = total.data.cast("B")
    found = how.decode(in_chunks(total), min(3, how.parties))
    with LeftOut():
        plain = how.encode(values, **others)
        assert (plain.words, plain.clipped, plain.norm_clipped) == (one.words, one.clipped, one.norm_clipped)
        expected = how.decode(in_chunks(total), min(3, how.parties))
    assert found.mean.tobytes() == expected.mean.tobytes()
    for name in ("low", "high", "weight", "clipped"):
        assert getattr(found, name) == getattr(expected, name), name


# --- the same as numpy -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_use")
@pytest.mark.parametrize(("lane_count", "bits", "parties"), SHAPES)
def test_every_length_around_chunks_and_words_is_the_same(
    lane_count: int, bits: int, parties: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_chunks(monkeypatch)
    for length in range(1, 3 * SMALL * lane_count):
        how = Packing(length=length, lanes=lane_count, bits=bits, clip=0.7, parties=parties, weight_most=9)
        for kind in (np.float32, np.float64):
            same_both_ways(how, np.sin(np.arange(length) * 1.7).astype(kind), weight=length % 9 + 1)


@pytest.mark.usefixtures("in_use")
@given(data=st.data())
@settings(max_examples=60)
def test_any_numbers_are_the_same(data: st.DataObject) -> None:
    lane_count, bits, parties = data.draw(st.sampled_from(SHAPES))
    width = data.draw(st.sampled_from([32, 64]))
    clip = data.draw(st.sampled_from([1.0, 0.3, 1e-200, 1e200, float(np.float32(0.1))]))
    wide = st.floats(width=width, allow_nan=False, allow_infinity=False)
    near = st.integers(0, 2**bits).map(lambda k: (k + 0.5 - (2**bits - 1) / 2) / ((2**bits - 1) / (2 * clip)))
    edges = st.sampled_from([clip, -clip, 0.0, -0.0, math.nextafter(clip, math.inf), 5e-324])
    drawn = data.draw(st.lists(st.one_of(wide, near, edges), min_size=1, max_size=70))
    with np.errstate(over="ignore"):
        values = np.nan_to_num(np.array(drawn).astype(f"f{width // 8}"))
    how = Packing(length=len(drawn), lanes=lane_count, bits=bits, clip=clip, parties=parties, weight_most=1000)
    norm = data.draw(st.sampled_from([None, clip, clip * 3]))
    same_both_ways(how, values, weight=data.draw(st.integers(1, 1000)), norm=norm)


@pytest.mark.usefixtures("in_use")
@pytest.mark.parametrize(("lane_count", "bits", "parties"), SHAPES)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_long_vectors_are_the_same(lane_count: int, bits: int, parties: int, kind: type) -> None:
    """Steps that few numbers hit exactly, halves among them, where a fused product or another division would show."""
    length = 150_001
    how = Packing(length=length, lanes=lane_count, bits=bits, clip=0.3, parties=parties)
    halves = (np.arange(length) % how.top + 0.5 - how.top / 2) / how.scale
    same_both_ways(how, halves.astype(kind))
    same_both_ways(how, np.tan(np.arange(length)).astype(kind), norm=40.0)


@pytest.mark.usefixtures("in_use")
def test_two_threads_fill_and_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "LEAST_WORTH_SPREADING", 2)
    how = Packing(length=400_000, lanes=2, bits=22, clip=1.0, parties=3)
    values = np.sin(np.arange(400_000.0))
    with ThreadPoolExecutor(2) as threads:
        monkeypatch.setattr(blinding, "lent", lambda: threads.map)
        same_both_ways(how, values)


@pytest.mark.usefixtures("in_use")
@pytest.mark.parametrize("lane_count", LANES)
def test_vectors_with_gaps_and_chunks_at_odd_addresses_are_the_same(lane_count: int) -> None:
    length = 5001
    how = Packing(length=length, lanes=lane_count, bits=12, clip=1.0, parties=3)
    every_third = np.sin(np.arange(3 * length, dtype=np.float32))[::3]
    odd = np.frombuffer(b"?" + every_third.tobytes(), np.uint8)[1:].view(np.float32)
    assert not odd.flags.aligned
    assert how.encode(every_third) == how.encode(odd) == how.encode(every_third.copy())
    words = how.encode(every_third).words
    shifted = memoryview(b"?" + bytes(words))[1:]
    assert how.decode(chunked(shifted), 1).mean.tobytes() == how.decode(chunked(words), 1).mean.tobytes()


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_use")
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("lane_count", LANES)
def test_a_number_that_is_not_finite_is_misuse_wherever_it_is(bad: float, kind: type, lane_count: int) -> None:
    how = Packing(length=75, lanes=lane_count, bits=12, clip=1.0, parties=3)
    for place in range(75):
        values = np.zeros(75, kind)
        values[place] = bad
        with pytest.raises(Misuse, match="a vector holds a number that is not finite"):
            how.encode(values)


@pytest.mark.usefixtures("in_use")
@pytest.mark.parametrize(("lane_count", "bits", "parties"), SHAPES)
def test_every_flipped_bit_is_refused_in_the_same_words(
    lane_count: int, bits: int, parties: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the check word as it was, and with one that fits."""
    small_chunks(monkeypatch)
    how = Packing(length=SMALL * lane_count + 1, lanes=lane_count, bits=bits, clip=1.0, parties=parties)
    total = bytes(how.encode(np.sin(np.arange(how.length))).words)
    refused = 0
    for bit in range(8 * len(total)):
        for fitting in (False, True):
            wrong = np.frombuffer(total, "<u8").copy()
            wrong[bit // 64] ^= np.uint64(1 << bit % 64)
            if fitting:
                for place in range(-(-len(wrong) // SMALL)):
                    block = wrong[place * SMALL : (place + 1) * SMALL]
                    _, data = how._within(block, place)
                    held = int(lanes.unpack(block[: data * how._unit], lane_count).sum(dtype=np.uint64))
                    others = sum(how._element(block, at) for at in range(data, len(block) // how._unit - 1))
                    how._put(block, -1, (held + others) % 2**how.ring.bits)
            said = [verdict(how, wrong)]
            with LeftOut():
                said.append(verdict(how, wrong))
            assert said[0] == said[1]
            refused += said[0] != ""
    assert refused > 8 * how.size_bytes


def verdict(how: Packing, words: np.ndarray) -> str:
    try:
        how.decode(in_chunks(words.data.cast("B")), 1)
    except BadTotal as refusal:
        return str(refusal)
    return ""


@pytest.mark.parametrize(
    ("entries", "words", "lane_count"),
    [
        (np.zeros(5), np.zeros(2, "<u8"), 2),
        (np.zeros(5), np.zeros(4, "<u8"), 2),
        (np.zeros(5), np.zeros(5, "<u8"), 0),
        (np.zeros(5), np.zeros(1, "<u8"), 5),
        (np.zeros(5), np.zeros(2, "<u8"), 6),
        (np.zeros(5), np.zeros(2, "<u8"), 8),
        (np.zeros((5, 1)), np.zeros(3, "<u8"), 2),
        (np.zeros(5, np.float16), np.zeros(3, "<u8"), 2),
        (np.zeros(5), np.zeros(6, "<u4")[::2], 2),
        (np.zeros(5), np.zeros(3, ">u8"), 2),
        (np.zeros(5), np.zeros(6, "<u8")[::2], 2),
        (np.zeros(5), np.frombuffer(bytes(24), "<u8"), 2),
    ],
    ids=[
        "short",
        "long",
        "no lanes",
        "half a pair",
        "six lanes",
        "eight lanes",
        "column",
        "float16",
        "narrow",
        "big-endian",
        "gaps",
        "read-only",
    ],
)
def test_arrays_that_do_not_fit_are_misuse(
    entries: np.ndarray, words: np.ndarray, lane_count: int, loops: Kernel
) -> None:
    with pytest.raises(Misuse):
        loops.fill(entries, lane_count, Rule(shrink=1.0, clip=1.0, factor=1.0, middle=2.0), words)
    if words.flags.writeable:
        with pytest.raises(Misuse):
            loops.read(words, lane_count, 1.0, 1.0, entries)


@pytest.mark.parametrize("size", [2, 40, 4096 * 2])
def test_many_terms_add_up_as_numpy_adds_them(size: int, loops: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.Generator(np.random.PCG64(size))
    terms = [dice.integers(0, 2**64, size, dtype=np.uint64) for _ in range(9)]
    terms[3][:] = 2**64 - 1
    found = []
    for used in (loops, None):
        monkeypatch.setattr(ring, "kernel", lambda _, used=used: used)
        words = terms[0].copy()
        tally = ring.Tally(ring.Z128, words)
        for place, term in enumerate(terms[1:]):
            (tally.subtract if place % 3 else tally.add)(term)
        tally.settle()
        found.append(words.tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("words", "terms"), [(4, 6), (4, 2), (3, 3)], ids=["longer terms", "shorter terms", "half a number"]
)
def test_terms_that_do_not_fit_are_misuse(words: int, terms: int, loops: Kernel) -> None:
    with pytest.raises(Misuse):
        loops.add(np.zeros(words, "<u8"), np.zeros(terms, "<u8"))
    with pytest.raises(Misuse):
        loops.add(np.frombuffer(bytes(32), "<u8"), np.zeros(4, "<u8"))


# --- used only if it is right ----------------------------------------------------------------------------------------


def test_short_vectors_and_comparisons_load_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "loaded", lambda: pytest.fail("loaded"))
    assert kernel(lanes.LEAST - 1) is None
    how = Packing(length=lanes.LEAST - 1, lanes=1, bits=12, clip=1.0, parties=3)
    how.decode(chunked(how.encode(np.zeros(how.length)).words), 1)
    with LeftOut():
        assert kernel(10**9) is None


def test_without_loops_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(str(tmp_path / "nothing.so")) is None
    (tmp_path / "text.so").write_text("no library")
    assert loaded(str(tmp_path / "text.so")) is None
    monkeypatch.setattr(lanes, "loaded", lambda: None)
    how = Packing(length=10_000, lanes=2, bits=22, clip=1.0, parties=3)
    assert how.decode(chunked(how.encode(np.zeros(10_000)).words), 1).weight == 1


@pytest.mark.parametrize("to", ["plain", "avx2"])
def test_code_for_other_processors_gives_the_same(to: str, compile_: Compile) -> None:
    if to == "avx2" and to not in PROCESSOR:
        pytest.skip("no AVX2")
    older = [
        ("? f##_avx512", f"? f##_{to}"),
        (': __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? f##_avx2', f": 1 ? f##_{to}"),
    ]
    assert loaded(str(compile_(*older))) is not None


@pytest.mark.parametrize("flags", [["-O0"], ["-O2"], ["-O3", "-ffp-contract=fast"]], ids=" ".join)
def test_any_optimisation_gives_the_same(flags: list[str], compile_: Compile) -> None:
    assert loaded(str(compile_(flags=[*flags, *SHARED]))) is not None, "the file itself forbids fused products"


def test_fused_products_that_the_file_does_not_forbid_are_noticed(compile_: Compile) -> None:
    if "avx512vl" not in PROCESSOR:
        pytest.skip("no AVX-512: perhaps nothing is fused")
    allowed = ('optimize("fp-contract=off")', 'optimize("fp-contract=fast")')
    assert loaded(str(compile_(allowed, flags=["-O3", *SHARED]))) is None


def test_a_compiler_that_may_reorder_sums_is_refused(compile_: Compile, tmp_path: Path) -> None:
    compile_()
    fast = ["cc", "-O3", "-ffast-math", *SHARED, "-o", tmp_path / "fast.so", SOURCE]
    assert subprocess.run(fast, check=False, capture_output=True).returncode


WRONG = {
    "revision": ("return 4;", "return 5;"),
    "fused": ("place = product + r.middle", "place = __builtin_fma(z, r.factor, r.middle)"),
    "no shrink": ("x * r.shrink", "x"),
    "towards zero": ("bits(place + ties) - bits(ties)", "(uint64_t)(int64_t)place"),
    "halves up": ("bits(place + ties) - bits(ties)", "(uint64_t)(int64_t)(place + 0.5)"),
    "at the clip counts": ("bits(r.clip - __builtin_fabs(y)) >> 63", "__builtin_fabs(y) >= r.clip"),
    "not clipped below": ("below < -r.clip ? -r.clip : below", "below"),
    "not finite": ("seen->bad |= bits(x - x)", "seen->bad |= 0"),
    "infinite": ("seen->bad |= bits(x - x)", "seen->bad |= x != x"),
    "left over": ("((U64 *)out)[count / lanes] = 0", "(void)0"),
    "sum": ("seen->sum += q", "seen->sum += (uint32_t)q & 0x3fffffff"),
    "one over": ("return __builtin_fma(__builtin_fma(-near, s.steps, x), s.inverse, near)", "return guess + 0 * near"),
    "large": ("above - (high + low) + below", "(float)above - (high + low) + below"),
    "signed": ("TYPE least = (TYPE)-1", "TYPE least = 1"),
    "spare": ("h.spare = q > h.spare ? q : h.spare", "h.spare = 0"),
    "spare in the sum": ("h.sum += q;\n        h.spare", "h.spare"),
    "beyond": ("h.beyond |= word >> 63", "h.beyond |= 0"),
    "beyond a pair": ("h.beyond |= (uint64_t)(all >> width * lanes)", "h.beyond |= 0"),
    "beyond four pairs": ("words[1] | words[3] | words[5] | words[7]", "words[1] | words[3] | words[5]"),
    "the middle of four pairs": ("(words >> 50 | other << 14)", "(words >> 50)"),
    "left over in a pair": (
        "for (long j = some; j % lanes; j++) q[j] = 0",
        "for (long j = some; j % lanes; j++) q[j] = 1",
    ),
    "spare of a pair": ("h.spare = q[j] > h.spare ? q[j] : h.spare", "h.spare = 0"),
    "least of a pair": ("least = q[j] < least ? q[j] : least", "least = 0"),
    "sum of a pair": ("h.sum += q[j], least", "least"),
    "across words": ("c << LH(50, 36)", "c << LH(50, 35)"),
    "carry": ("to[1] + from[1] + carry", "to[1] + from[1]"),
    "carry of nothing": ("carry = low < from[0]", "carry = low <= from[0]"),
    "borrow": ("to[1] - from[1] - borrow", "to[1] - from[1]"),
    "sum for difference": ("if (minus) {", "if (0) {"),
    "beyond at the end": ("if (count % 3) h.beyond", "if (0) h.beyond"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_loops_that_differ_from_numpy_are_not_used(wrong: str, compile_: Compile) -> None:
    old, new = WRONG[wrong]
    file = str(compile_((old, new), flags=["-O1", *FLAGS[1:]]))
    assert ctypes.CDLL(file).revision() in (4, 5), "it can be loaded"
    assert loaded(file) is None


class Twisted:
    """Loops that err in one bit of what they write."""

    def __init__(self, library: Any, function: str, argument: int, every: int) -> None:
        self._library, self._function, self._argument = library, function, argument
        self._every, self._calls = every, 0

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, name)
        if name != self._function:
            return function

        def wrong(*arguments: Any) -> None:
            function(*arguments)
            self._calls += 1
            place = arguments[self._argument]
            if self._calls == self._every and arguments[3 if name == "encode" else 2]:
                ctypes.c_uint8.from_address(place if isinstance(place, int) else ctypes.addressof(place)).value ^= 1

        return wrong


@pytest.mark.parametrize(("function", "argument"), [("encode", 5), ("encode", 6), ("decode", 5), ("decode", 6)])
@pytest.mark.parametrize("every", [1, 9])
def test_loops_that_err_in_one_bit_are_not_used(function: str, argument: int, every: int, loops: Kernel) -> None:
    assert agrees(loops)
    assert not agrees(Kernel(Twisted(loops._library, function, argument, every)))

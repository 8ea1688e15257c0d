"""A masked vector looks like noise whatever is in it, and nothing but AES makes the noise."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from federation.crypto import blinding, prg
from federation.crypto.ring import Tally
from tests.attacks.masked_sum.malice import is_uniform
from tests.protocols.cohort import Cohort

LENGTH = 16 * 1024  # 256 KiB of masked bytes, 1,024 of each value expected


def masked(numbers: list[int], party: str = "p1", ring: str = "z2^128") -> bytes:
    cohort = Cohort(3, len(numbers), ring=ring)
    cohort.shared()
    return b"".join(cohort.contribute(party, numbers).chunks)


@pytest.mark.parametrize("number", [0, 1, -1, 2**127 - 1])
@pytest.mark.parametrize("party", ["p0", "p1", "p2"])
def test_a_masked_vector_is_uniform_whatever_it_hides(number: int, party: str) -> None:
    assert is_uniform(masked([number] * LENGTH, party))


@pytest.mark.parametrize("number", [0, 1, 2**64 - 1])
def test_so_it_is_in_words_of_64_bits(number: int) -> None:
    assert is_uniform(masked([number] * 2 * LENGTH, ring="z2^64"))


def test_every_value_of_a_word_comes_out_the_greatest_too() -> None:
    """A generator that draws from 0 to R - 2 never gives R - 1; here all 65,536 values of two bytes come."""
    array = np.frombuffer(masked([0] * 4 * LENGTH), dtype=np.uint16)
    assert len(np.unique(array)) > 65_000  # 524,288 draws leave 22 of them out by chance
    assert {0, 2**16 - 1} <= set(np.unique(array).tolist())


def test_two_vectors_that_differ_in_one_bit_are_unrelated_in_another_round() -> None:
    one, other = Cohort(3, LENGTH), Cohort(3, LENGTH, round_index=1)
    data = []
    for cohort in (one, other):
        cohort.shared()
        data.append(b"".join(cohort.contribute("p1", [0] * LENGTH).chunks))
    a, b = (np.frombuffer(part, dtype=np.uint8) for part in data)
    assert is_uniform((a - b).tobytes())


def test_the_masks_of_two_peers_are_unrelated() -> None:
    """With n = 3 the vectors of p0 and p2 differ by masks of other pairs, not only by the shared one."""
    a, b = (np.frombuffer(masked([0] * LENGTH, party), dtype=np.uint8) for party in ("p0", "p2"))
    assert is_uniform((a + b).tobytes())
    assert is_uniform((a - b).tobytes())


def test_the_planted_fault_of_masking_one_word_in_two_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def low_words_only(whole: Callable[[Tally, NDArray[np.uint64]], None]) -> Callable[..., None]:
        def put(self: Tally, term: NDArray[np.uint64]) -> None:
            half = term.copy()
            half[1::2] = 0
            whole(self, half)

        return put

    for name in ("add", "subtract"):
        monkeypatch.setattr(blinding.Tally, name, low_words_only(getattr(Tally, name)))
    assert not is_uniform(masked([0] * LENGTH))


def test_the_planted_fault_of_a_keystream_that_repeats_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    block = np.array([0x0123456789ABCDEF, 0xFEDCBA9876543210], dtype="<u8")
    monkeypatch.setattr(prg.Keystream, "words", lambda _self, size: np.tile(block, size // 16))
    assert not is_uniform(masked([0] * LENGTH))


def test_the_planted_fault_of_a_range_that_lacks_its_greatest_value_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prg.Keystream.words

    def without(self: prg.Keystream, size: int) -> NDArray[np.uint64]:
        draws = whole(self, size).copy().view(np.uint16)
        draws[draws == 2**16 - 1] = 0
        return draws.view("<u8")

    monkeypatch.setattr(prg.Keystream, "words", without)
    monkeypatch.setattr(blinding.Tally, "add", lambda self, term: np.copyto(self._words, term))
    monkeypatch.setattr(blinding.Tally, "subtract", lambda *_: None)
    with pytest.raises(AssertionError):
        test_every_value_of_a_word_comes_out_the_greatest_too()


# --- what stands near a mask -----------------------------------------------------------------------------------------

MASKING = ("federation/crypto", "federation/protocols")
GENERATORS = frozenset(
    {"random", "secrets", "uuid", "time", "os", "SystemRandom", "urandom", "default_rng", "RandomState"}
)


def generators(source: str) -> Iterator[str]:
    """Yield every name in `source` by which a number could come from anywhere but an argument."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                module = getattr(node, "module", None) or ""
                parts = [part for alias in names for part in alias.name.split(".")] + module.split(".")
            case ast.Attribute(attr=attr) if attr != "secrets":  # a field; the module has to be imported
                parts = [attr]
            case ast.Name(id=name) if name != "secrets":
                parts = [name]
            case _:
                continue
        yield from (part for part in parts if part in GENERATORS or part.startswith("generate"))


def test_no_generator_stands_near_a_mask(repository: Path) -> None:
    files = [path for room in MASKING for path in sorted((repository / room).rglob("*.py"))]
    assert len(files) >= 10
    assert {str(path): list(generators(path.read_text())) for path in files} == {str(path): [] for path in files}


@pytest.mark.parametrize(
    "fault",
    [
        "import random",
        "from os import urandom",
        "import numpy as np\nmask = np.random.default_rng(7).bytes(16)",
        "import numpy.random",
        "from secrets import token_bytes",
        "import secrets",
        "key = X25519PrivateKey.generate()",
        "import time\nseed = time.time_ns()",
    ],
)
def test_the_planted_fault_of_a_generator_is_caught(fault: str) -> None:
    assert list(generators(fault))

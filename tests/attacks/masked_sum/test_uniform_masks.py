"""A masked vector looks like noise whatever is in it, and nothing but AES makes the noise."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from federation.crypto import prg, ring
from tests.protocols.cohort import Cohort

LENGTH = 16 * 1024  # 256 KiB of masked bytes, 1,024 of each value expected
# Chi-square with 255 degrees of freedom: mean 255, standard deviation 22.6. Entropy is fixed: nothing is by chance.
LEAST, MOST = 165.0, 355.0


def masked(numbers: list[int], party: str = "p1") -> bytes:
    cohort = Cohort(3, len(numbers))
    cohort.rostered()
    return b"".join(cohort.contribute(party, numbers).chunks)


def chi_square(data: bytes) -> float:
    counts = np.bincount(np.frombuffer(data, dtype=np.uint8), minlength=256)
    expected = len(data) / 256
    return float(((counts - expected) ** 2 / expected).sum())


def is_uniform(data: bytes) -> bool:
    """Bytes, the difference of neighbouring bytes, and the bytes of either word of an element alone."""
    array = np.frombuffer(data, dtype=np.uint8)
    words = array.reshape(-1, 16)
    views = (array, array[1:] - array[:-1], words[:, :8], words[:, 8:])
    return all(LEAST < chi_square(view.tobytes()) < MOST for view in views)


@pytest.mark.parametrize("number", [0, 1, -1, 2**127 - 1])
@pytest.mark.parametrize("party", ["p0", "p1", "p2"])
def test_a_masked_vector_is_uniform_whatever_it_hides(number: int, party: str) -> None:
    assert is_uniform(masked([number] * LENGTH, party))


def test_two_vectors_that_differ_in_one_bit_are_unrelated_in_another_round() -> None:
    one, other = Cohort(3, LENGTH), Cohort(3, LENGTH, round_index=1)
    data = []
    for cohort in (one, other):
        cohort.rostered()
        data.append(b"".join(cohort.contribute("p1", [0] * LENGTH).chunks))
    a, b = (np.frombuffer(part, dtype=np.uint8) for part in data)
    assert is_uniform((a - b).tobytes())


def test_the_masks_of_two_peers_are_unrelated() -> None:
    """With n = 3 the vectors of p0 and p2 differ by masks of other pairs, not only by the shared one."""
    a, b = (np.frombuffer(masked([0] * LENGTH, party), dtype=np.uint8) for party in ("p0", "p2"))
    assert is_uniform((a + b).tobytes())
    assert is_uniform((a - b).tobytes())


def test_the_planted_fault_of_masking_one_word_in_two_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ring.add_into

    def low_words_only(accumulator: NDArray[np.uint64], term: NDArray[np.uint64]) -> None:
        half = term.copy()
        half[:, 1] = 0
        whole(accumulator, half)

    monkeypatch.setattr(ring, "add_into", low_words_only)
    monkeypatch.setattr(ring, "subtract_into", low_words_only)
    assert not is_uniform(masked([0] * LENGTH))


def test_the_planted_fault_of_a_keystream_that_repeats_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def repeating(self: prg.Keystream, size: int) -> NDArray[np.uint64]:
        block = np.array([[0x0123456789ABCDEF, 0xFEDCBA9876543210]], dtype="<u8")
        return np.repeat(block, size // 16, axis=0)

    monkeypatch.setattr(prg.Keystream, "piece", repeating)
    assert not is_uniform(masked([0] * LENGTH))


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
            case ast.Attribute(attr=attr):
                parts = [attr]
            case ast.Name(id=name):
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
        "key = X25519PrivateKey.generate()",
        "import time\nseed = time.time_ns()",
    ],
)
def test_the_planted_fault_of_a_generator_is_caught(fault: str) -> None:
    assert list(generators(fault))

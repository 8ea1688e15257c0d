"""Which tensor lies where in the flat vector of a model, and what a model starts from; no torch.

A flat vector holds every tensor of a model as float32 in C order, one after the other: first what is learned, in the
order of torch's `named_parameters`, then running statistics, in the order of `named_buffers`. Counters (whole numbers,
`num_batches_tracked`) are no part of it: they have no mean.

Two parties that hold the same layout and the same seed start from the same bytes, on every machine: draws come from a
keystream, and each value costs one multiplication of float32. Refused: two tensors of one name, tensors without
entries, and models beyond `MOST_PARAMETERS`.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from federation.crypto.agreement import derive
from federation.crypto.prg import PIECE_BYTES, Keystream
from federation.errors import Misuse

MOST_PARAMETERS = 100_000_000  # entries of a flat vector, 400 MB
MOST_TENSORS = 1_000
MOST_AXES = 8
MOST_NAME = 200  # characters
SEED_BYTES = 32
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*", re.ASCII)
_LAYOUT = b"federation/training/layout/v1"
_INITIAL = b"federation/training/initial/v1"


class Part(StrEnum):
    """What a tensor is for; strategies treat parts differently (FedBN keeps NORM and BUFFER at home)."""

    WEIGHT = "weight"
    BIAS = "bias"
    NORM = "norm"  # scale and shift of a normalisation
    BUFFER = "buffer"  # running statistics of a normalisation: not learned by descent


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a model.

    Attributes:
        name: as torch has it, `layers.0.weight`.
        shape: lengths of its axes, each at least 1.
        part: what it is for.
        fan_in: inputs of one output; it starts uniform in ±1/sqrt(fan_in), torch's default of linear, convolutional
            (inputs x kernel) and recurrent (hidden units) layers; 0 to start from `fill`.
        fill: where it starts if fan_in is 0: 0, or 1 for the scale of a normalisation and for running variances.
    """

    name: str
    shape: tuple[int, ...]
    part: Part
    fan_in: int = 0
    fill: float = 0.0

    def __post_init__(self) -> None:
        if len(self.name) > MOST_NAME or not _NAME.fullmatch(self.name):
            raise Misuse("a tensor's name is words of ASCII letters, digits and _ with dots between them")
        if not 1 <= len(self.shape) <= MOST_AXES or min(self.shape) < 1 or self.size > MOST_PARAMETERS:
            raise Misuse(
                f"tensor {self.name} needs 1 to {MOST_AXES} axes of at least 1, {MOST_PARAMETERS} entries at most"
            )
        if self.fan_in < 0 or not math.isfinite(self.fill) or (self.fan_in and self.fill):
            raise Misuse(f"tensor {self.name} starts either uniform, by its fan-in, or from one finite value")

    @property
    def size(self) -> int:
        """Entries."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The tensors of a model, in the order in which they lie in its flat vector."""

    tensors: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.tensors) <= MOST_TENSORS:
            raise Misuse(f"a model has 1 to {MOST_TENSORS} tensors, this one has {len(self.tensors)}")
        if len({tensor.name for tensor in self.tensors}) != len(self.tensors):
            raise Misuse("two tensors of a model have one name")
        if self.size > MOST_PARAMETERS:
            raise Misuse(f"a model has at most {MOST_PARAMETERS} entries, this one has {self.size}")

    @property
    def size(self) -> int:
        """Entries of the flat vector."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def learned(self) -> int:
        """Entries that descent moves: all before the running statistics, which lie last."""
        return sum(tensor.size for tensor in self.tensors if tensor.part is not Part.BUFFER)

    @property
    def digest(self) -> bytes:
        """SHA-256 (32 bytes) over names, shapes, parts and beginnings, each field preceded by its length or count."""
        digest = hashlib.sha256(_LAYOUT)
        digest.update(struct.pack(">I", len(self.tensors)))
        for tensor in self.tensors:
            for text in (tensor.name, tensor.part):
                digest.update(struct.pack(">I", len(text)) + text.encode())
            digest.update(
                struct.pack(f">I{len(tensor.shape)}QQd", len(tensor.shape), *tensor.shape, tensor.fan_in, tensor.fill)
            )
        return digest.digest()

    def places(self) -> Iterator[tuple[Tensor, slice]]:
        """Yield each tensor with its place in the flat vector."""
        start = 0
        for tensor in self.tensors:
            yield tensor, slice(start, start + tensor.size)
            start += tensor.size

    def split(self, flat: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return {name: view of `flat` in the tensor's shape}; writing into a view writes into `flat`.

        Raises:
            Misuse: `flat` is not a contiguous vector of `size` float32 values.
        """
        self.check(flat)
        return {tensor.name: flat[place].reshape(tensor.shape) for tensor, place in self.places()}

    def check(self, flat: NDArray[np.float32]) -> None:
        """Raise Misuse unless `flat` is a contiguous vector of `size` float32 values."""
        if flat.dtype != np.dtype("<f4") or flat.shape != (self.size,) or not flat.flags.c_contiguous:
            raise Misuse(
                f"a flat vector of this model is {self.size} contiguous float32 values, got {flat.dtype} {flat.shape}"
            )

    def where(self, *parts: Part) -> NDArray[np.bool_]:
        """Return a mask of the flat vector, (size,): True in tensors of these parts."""
        mask = np.zeros(self.size, dtype=np.bool_)
        for tensor, place in self.places():
            mask[place] = tensor.part in parts
        return mask

    def initial(self, seed: bytes) -> NDArray[np.float32]:
        """Return the flat vector that training starts from; equal bytes for equal layouts and seeds, on every machine.

        Each tensor with a fan-in takes the next ceil(entries / 2) words of the keystream of HKDF(seed, label, digest of
        the layout), two draws a word. A draw u of 24 bits becomes (2u + 1 - 2^24) / 2^24, which float32 holds exactly,
        times the bound: symmetric, never 0, never beyond the bound.

        Args:
            seed: 32 bytes, of the job; public.

        Raises:
            Misuse: a seed of another length.
        """
        if len(seed) != SEED_BYTES:
            raise Misuse(f"a model starts from a seed of {SEED_BYTES} bytes, this one has {len(seed)}")
        stream = Keystream(derive(seed, _INITIAL + self.digest))
        flat = np.empty(self.size, dtype=np.float32)
        for tensor, place in self.places():
            if tensor.fan_in:
                _draw(stream, flat[place], np.float32(1 / math.sqrt(tensor.fan_in)))
            else:
                flat[place] = tensor.fill
        return flat


def _draw(stream: Keystream, out: NDArray[np.float32], bound: np.float32) -> None:
    per_piece = PIECE_BYTES // 4
    for start in range(0, out.size, per_piece):
        piece = out[start : start + per_piece]
        words = stream.words(8 * -(-piece.size // 2))
        draws = (words.view("<u4")[: piece.size] >> 8).astype(np.int32)  # 24 bits
        np.multiply((2 * draws + (1 - (1 << 24))).astype(np.float32), np.float32(2**-24) * bound, out=piece)

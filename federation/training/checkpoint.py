"""A model as a file, in the safetensors format, and its hash: names, shapes and float32 values, and nothing that runs.

A file is read against the layout that is expected and in no other way: a header of at most 1 MiB, each tensor of the
layout exactly once with its shape as F32, places that follow each other without gap or overlap to the last byte, and
finite values. Refused by name: pickles, torch's and joblib's files, numpy's, archives, HDF5. Bytes are copied, never
interpreted; what a file claims about lengths is compared with its size before anything is allocated.

Written here rather than by the safetensors library, which puts the text beside the tensors in another order each time:
equal models make equal files, whose hash may be signed. The library reads ours and we read the library's (tested).

Source: huggingface/safetensors, README "Format": 8 bytes little-endian length N, N bytes of JSON, the tensors' bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from federation.errors import Misuse, Refused
from federation.training.layout import Layout

RULE = "checkpoint"
MOST_HEADER = 1 << 20  # bytes
MOST_ABOUT = 64  # texts beside the tensors
MOST_TEXT = 4_096  # characters of one
ABOUT = "__metadata__"  # safetensors' word
_LENGTH = struct.Struct("<Q")
_ENTRY = 4  # bytes of a float32
_MODEL = b"federation/training/model/v1"
_RUNS_CODE = "a format that may run code when it is read"
_CONVERT = "convert it where it was made: safetensors.torch.save_file"
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    *((bytes([0x80, protocol]), f"a pickle, {_RUNS_CODE}") for protocol in range(2, 6)),
    (b"PK", f"an archive as torch.save and numpy.savez write it, {_RUNS_CODE}"),
    (b"\x93NUMPY", f"an array as numpy.save writes it, {_RUNS_CODE}"),
    (b"\x89HDF", "an HDF5 file, as Keras writes it"),
    (b"\x1f\x8b", f"a compressed file, as joblib writes it, {_RUNS_CODE}"),
    (b"BZh", f"a compressed file, as joblib writes it, {_RUNS_CODE}"),
    (b"\xfd7zXZ", f"a compressed file, as joblib writes it, {_RUNS_CODE}"),
    (b"]\x00\x00", f"a compressed file, as joblib writes it, {_RUNS_CODE}"),
    (b"\x78", f"a compressed file, as joblib writes it, {_RUNS_CODE}"),
)
_Header: TypeAlias = dict[str, object]


def digest(flat: NDArray[np.float32]) -> bytes:
    """Return the hash of a model, 32 bytes: SHA-256 over a label, the number of entries and their little-endian bytes.

    Equal for equal bits only: 0.0 and -0.0 differ. The layout is not part of it; a job's specification binds that.

    Raises:
        Misuse: `flat` is not a contiguous float32 vector.
    """
    if flat.dtype != np.float32 or flat.ndim != 1 or not flat.flags.c_contiguous:
        raise Misuse(f"a model is hashed as a contiguous float32 vector, got {flat.dtype} {flat.shape}")
    hashed = hashlib.sha256(_MODEL + _LENGTH.pack(flat.size))
    hashed.update(flat.astype("<f4", copy=False).data)
    return hashed.digest()


def to_bytes(layout: Layout, flat: NDArray[np.float32], about: Mapping[str, str]) -> bytes:
    """Return a safetensors file of this model; equal arguments give equal bytes.

    Args:
        about: texts for people and programs, at most 64 of at most 4,096 characters: which model, of which job.

    Raises:
        Misuse: `flat` is not of this layout or not finite, or `about` is too long.
    """
    layout.check(flat)
    if not np.isfinite(flat).all():
        raise Misuse("a model with values that are not finite is not kept", hint="a smaller learning rate")
    if not _is_about(dict(about)):
        raise Misuse(f"what is said about a model is at most {MOST_ABOUT} texts of at most {MOST_TEXT} characters")
    header: _Header = {ABOUT: dict(sorted(about.items()))} if about else {}
    for tensor, place in layout.places():
        ends = [_ENTRY * place.start, _ENTRY * place.stop]
        header[tensor.name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": ends}
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    if len(text) > MOST_HEADER:
        raise Misuse(f"the header of a model is at most {MOST_HEADER} bytes, this one has {len(text)}")
    return b"".join((_LENGTH.pack(len(text)), text, flat.astype("<f4", copy=False).data))


def of(data: bytes, layout: Layout) -> NDArray[np.float32]:
    """Return the flat vector of a safetensors file that holds exactly the tensors of `layout`.

    Raises:
        Refused: another format, another model, a header that contradicts itself or the file, or values that are not
            finite; messages quote no value.
    """
    header, body = _opened(data)
    _refuse_other_tensors(header, layout)
    flat = np.empty(layout.size, dtype=np.float32)
    end = 0
    starts = {tensor.name: _start(header[tensor.name], tensor.shape, tensor.name) for tensor in layout.tensors}
    places = {tensor.name: place for tensor, place in layout.places()}
    for name in sorted(starts, key=starts.__getitem__):
        place = places[name]
        if starts[name] != end:
            raise _refused(f"tensor {name} does not begin where the one before it ends")
        end += _ENTRY * (place.stop - place.start)
        if end > len(body):
            raise _refused(f"the file ends within tensor {name}")
        flat[place] = np.frombuffer(body[starts[name] : end], dtype="<f4")
    if end != len(body):
        raise _refused(f"{len(body) - end} bytes follow the last tensor")
    if not np.isfinite(flat).all():
        names = [tensor.name for tensor, place in layout.places() if not np.isfinite(flat[place]).all()]
        raise _refused(f"values that are not finite in {', '.join(names[:3])}")
    return flat


def about(data: bytes) -> dict[str, str]:
    """Return the texts that `to_bytes` was given; anybody can have written them, and nothing here checks the tensors.

    Raises:
        Refused: another format, or a header that is none.
    """
    texts = _opened(data)[0].get(ABOUT, {})
    return {str(name): str(text) for name, text in texts.items()} if isinstance(texts, dict) else {}


def _opened(data: bytes) -> tuple[_Header, memoryview]:
    """Return the header and the bytes after it."""
    length = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else 0
    begins = _LENGTH.size
    if not 2 <= length <= MOST_HEADER or data[begins : begins + 1] != b"{":
        # Asked only now: the length of an honest header may be any two bytes, those of a pickle too.
        for magic, what in _FOREIGN:
            if data.startswith(magic):
                raise _refused(f"this is {what}", hint=_CONVERT)
        if data[:1] in (b"(", b"]", b"c", b"}") and data.endswith(b"."):  # a pickle of protocol 0 or 1 has no magic
            raise _refused(f"this looks like a pickle, {_RUNS_CODE}", hint=_CONVERT)
        raise _refused(f"no header of JSON of at most {MOST_HEADER} bytes at its beginning")
    if begins + length > len(data):
        raise _refused("the file ends within its header")
    try:  # it begins with {, so it is an object or no JSON
        header: _Header = json.loads(
            bytes(data[begins : begins + length]), object_pairs_hook=_once, parse_constant=_no_number
        )
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise _refused("its header is not JSON, or says something twice") from None
    if not _is_about(header.get(ABOUT, {})):
        raise _refused(f"{ABOUT} is not at most {MOST_ABOUT} texts of at most {MOST_TEXT} characters")
    return header, memoryview(data)[begins + length :]


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a name that comes twice: another reader would take the other one."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_number(_: str) -> object:
    raise ValueError  # NaN and Infinity are not JSON


def _is_about(texts: object) -> bool:
    return (
        isinstance(texts, dict)
        and len(texts) <= MOST_ABOUT
        and all(isinstance(text, str) and len(text) <= MOST_TEXT for pair in texts.items() for text in pair)
    )


def _refuse_other_tensors(header: _Header, layout: Layout) -> None:
    expected = {tensor.name for tensor in layout.tensors}
    got = header.keys() - {ABOUT}
    if lacking := sorted(expected - got):
        raise _refused(f"tensor {lacking[0]} is not there", hint=_other_model(got, expected))
    if extra := len(got - expected):
        raise _refused(f"{extra} tensors are no part of this model", hint=_other_model(got, expected))


def _other_model(got: set[str], expected: set[str]) -> str:
    return "it is a file of another model or of another configuration" if got - expected else ""


def _start(entry: object, shape: tuple[int, ...], name: str) -> int:
    """Return where a tensor begins, in bytes after the header."""
    match entry:
        case {"dtype": "F32", "shape": [*sides], "data_offsets": [start, stop], **more} if not more:
            pass
        case {"dtype": kind} if kind != "F32":
            raise _refused(f"tensor {name} is not of dtype F32")
        case _:
            raise _refused(f"tensor {name} is not described by dtype, shape and data_offsets")
    if not all(type(number) is int for number in (*sides, start, stop)):  # a bool is an int
        raise _refused(f"tensor {name} has a shape or a place that is not of whole numbers")
    if tuple(sides) != shape:
        raise _refused(f"tensor {name} has another shape, expected {list(shape)}")
    if start < 0 or stop - start != _ENTRY * math.prod(shape):
        raise _refused(f"tensor {name} has a place of another length than its shape")
    return int(start)


def _refused(what: str, *, hint: str = "") -> Refused:
    return Refused(f"a checkpoint was refused: {what}", rule=RULE, hint=hint)

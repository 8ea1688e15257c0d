"""Files that run code when a careless program reads them, and the careless programs: each makes a canary folder.

They are built with the very libraries whose formats the product never reads; a payload that a careless program does not
set off would prove nothing, so each test sets it off first.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

unpickled = pickle.loads  # what a careless program does


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@dataclass(frozen=True, slots=True)
class Payload:
    """How a file is made around a canary, and how a careless program reads it."""

    name: str
    made: Callable[[Canary], bytes]
    read: Callable[[bytes], object]


def numpy_file(canary: Canary) -> bytes:
    """An object array: numpy pickles its elements."""
    file = io.BytesIO()
    np.save(file, np.array([canary, None], dtype=object), allow_pickle=True)
    return file.getvalue()


def numpy_archive(canary: Canary) -> bytes:
    """One member of an archive is an object array."""
    file = io.BytesIO()
    np.savez(file, weights=np.zeros(3, np.float32), more=np.array([canary], dtype=object))
    return file.getvalue()


def of_numpy(data: bytes) -> object:
    """Read any file of numpy and touch all that is in it."""
    found = np.load(io.BytesIO(data), allow_pickle=True)
    return [found[name] for name in found.files] if hasattr(found, "files") else found


def of_torch(data: bytes) -> object:
    """As torch.load read until version 2.6."""
    import torch

    return torch.load(io.BytesIO(data), weights_only=False)


def torch_file(*, archive: bool) -> Callable[[Canary], bytes]:
    """A state dict as torch saves it."""

    def made(canary: Canary) -> bytes:
        import torch

        file = io.BytesIO()
        state = {"output.weight": torch.zeros(1, 3), "more": canary}
        torch.save(state, file, _use_new_zipfile_serialization=archive)
        return file.getvalue()

    return made


def joblib_file(compress: Any) -> Callable[[Canary], bytes]:
    """A model as scikit-learn's users keep it."""

    def made(canary: Canary) -> bytes:
        import joblib

        file = io.BytesIO()
        joblib.dump({"coef": np.zeros(3), "more": canary}, file, compress=compress)
        return file.getvalue()

    return made


def of_joblib(data: bytes) -> object:
    """Read it as scikit-learn's users do."""
    import joblib

    return joblib.load(io.BytesIO(data))


def pickled(protocol: int) -> Callable[[Canary], bytes]:
    """A plain pickle."""
    return lambda canary: pickle.dumps({"weights": [0.0], "more": canary}, protocol=protocol)


def within(compressed: Callable[[bytes], bytes]) -> Callable[[Canary], bytes]:
    """A pickle in a compressed file."""
    return lambda canary: compressed(pickle.dumps(canary))


def behind_a_header(canary: Canary) -> bytes:
    """A pickle where a safetensors file has its tensors."""
    header = b'{"output.weight":{"dtype":"F32","shape":[1,3],"data_offsets":[0,12]}}'
    return struct.pack("<Q", len(header)) + header + pickle.dumps(canary)


def of_behind_a_header(data: bytes) -> object:
    """A reader that takes what follows the header for a pickle."""
    return unpickled(data[8 + struct.unpack_from("<Q", data)[0] :])


PAYLOADS = (
    *(Payload(f"pickle, protocol {protocol}", pickled(protocol), unpickled) for protocol in range(6)),
    Payload("torch, archive", torch_file(archive=True), of_torch),
    Payload("torch, before archives", torch_file(archive=False), of_torch),
    Payload("joblib", joblib_file(0), of_joblib),
    *(Payload(f"joblib, {kind}", joblib_file((kind, 3)), of_joblib) for kind in ("zlib", "gzip", "bz2", "lzma", "xz")),
    Payload("numpy, objects", numpy_file, of_numpy),
    Payload("numpy, archive with objects", numpy_archive, of_numpy),
    Payload("pickle in gzip", within(gzip.compress), lambda data: unpickled(gzip.decompress(data))),
    Payload("pickle in bz2", within(bz2.compress), lambda data: unpickled(bz2.decompress(data))),
    Payload("pickle in xz", within(lzma.compress), lambda data: unpickled(lzma.decompress(data))),
    Payload("pickle in zlib", within(zlib.compress), lambda data: unpickled(zlib.decompress(data))),
    Payload("pickle behind a header of safetensors", behind_a_header, of_behind_a_header),
)

"""A reviewed model bundle as everybody knows it: what its tensors are, as plain values, and the hash that names it.

A job never carries code. It names a bundle by hash (`model="bundle:<sha256>"`) and carries the bundle's manifest as the
model's configuration: the inputs it reads and the tensors it has. The hash is over the manifest, and the manifest holds
the hash of the code, so coordinator, researcher and parties know every tensor and check that these are the bundle's,
without the code. The code lies with each jurisdiction's operator, who approved it, and runs in a sandbox there alone
(`clients.jurisdiction.bundles`, `clients.jurisdiction.confined`).

Refused: a manifest that is not the named bundle's, inputs that it does not read, running statistics before what is
learned, and `module`: nothing of this process runs a bundle's code.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypeAlias

from federation.domain.job import Value, digest
from federation.errors import Misuse
from federation.training.inputs import Inputs, Task
from federation.training.layout import Layout, Part, Tensor
from federation.training.model import Model

PREFIX: Final = "bundle:"
LABEL: Final = "federation/bundle/v1"
LARGEST_SOURCE: Final = 256 * 1024  # bytes: somebody has to read it
MOST_SETTINGS: Final = 100
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_SETTING: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_MOST_VERSIONS: Final = 2**31 - 1
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

Single: TypeAlias = int | float | str | bool
Settings: TypeAlias = tuple[tuple[str, Single | tuple[Single, ...]], ...]
Row: TypeAlias = tuple[int | float | str, ...]  # of a tensor: name, part, fan_in, fill, then its shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says about itself, and what a job that names it carries.

    Attributes:
        name: for people; two bundles may have one name, and never one hash.
        version: the author's count, from 1.
        code: `code_hash` of source and settings, 64 hex digits.
        numbers: numeric inputs, as `Inputs` has them, and so the next three.
        levels: categories of each categorical input.
        outputs: values a row.
        task: a `Task`.
        tensors: of each tensor (name, part, fan_in, fill, *shape), in the order of the module's `named_parameters`,
            then of its floating `named_buffers`; see `Tensor`.
    """

    name: str
    version: int
    code: str
    numbers: int
    levels: tuple[int, ...] = ()
    outputs: int = 1
    task: str
    tensors: tuple[Row, ...]

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise Misuse("a bundle's name is small ASCII letters, digits and -, a letter first, 63 at most")
        if not 1 <= self.version <= _MOST_VERSIONS:
            raise Misuse(f"a bundle's version is 1 to {_MOST_VERSIONS}")
        if not _HASH.fullmatch(self.code):
            raise Misuse("a bundle's manifest holds the SHA-256 of its code in 64 hex digits")
        if self.task not in tuple(Task):
            raise Misuse(f"a bundle's task is one of {', '.join(Task)}")
        _ = self.inputs, self.layout  # they refuse what has no meaning

    @property
    def inputs(self) -> Inputs:
        """The batch that the module reads. Raises Misuse for one that nothing reads."""
        return Inputs(numbers=self.numbers, levels=self.levels, outputs=self.outputs, task=Task(self.task))

    @property
    def layout(self) -> Layout:
        """The tensors of the module. Raises Misuse."""
        found = tuple(map(_tensor, self.tensors))
        learned = [tensor.part is not Part.BUFFER for tensor in found]
        if sorted(learned, reverse=True) != learned:
            raise Misuse("a bundle lists running statistics after everything that is learned")
        return Layout(tensors=found)

    @property
    def config(self) -> tuple[tuple[str, Value], ...]:
        """The sorted pairs that a job carries as its model's configuration."""
        return tuple(sorted((field.name, getattr(self, field.name)) for field in fields(self)))

    @property
    def digest(self) -> bytes:
        """What names the bundle, 32 bytes: equal for equal code, settings, inputs and tensors."""
        return digest(LABEL, canonical(dict(self.config)))

    @property
    def model(self) -> str:
        """How a job names it."""
        return PREFIX + self.digest.hex()


class Bundled(Model[Manifest]):
    """The model that a job names by hash; its configuration is the bundle's manifest.

    Args:
        called: the hash as a job has it, 64 hex digits.

    Raises:
        Misuse: not a hash.
    """

    name = "bundle"
    version = 1
    Config = Manifest

    def __init__(self, called: str) -> None:
        if not _HASH.fullmatch(called):
            raise Misuse(f"a bundle is named by its SHA-256: model='{PREFIX}' and 64 hex digits")
        self.digest = bytes.fromhex(called)

    def layout(self, config: Manifest, inputs: Inputs) -> Layout:
        if config.digest != self.digest:
            raise Misuse(
                f"the manifest in this job is not of bundle {self.digest.hex()[:12]}",
                hint="take model and config from `federation bundle show FILE`",
            )
        if inputs != config.inputs:
            raise Misuse(
                f"bundle {config.name} reads {_said(config.inputs)}; this job has {_said(inputs)}",
                hint="name the target and the features that it was made for",
            )
        return config.layout

    def module(self, config: Manifest, inputs: Inputs) -> Any:  # noqa: ANN401, ARG002 as the contract
        raise Misuse(
            f"the code of bundle {config.name} runs only in the sandbox of a jurisdiction",
            hint="save() writes the weights as safetensors; whoever has the code loads them into the module",
        )


def is_bundle(model: str) -> bool:
    """Return whether a job's `model` names a bundle, well or not."""
    return model.startswith(PREFIX)


def bundled(model: str) -> Bundled:
    """Return the model that `bundle:<sha256>` names. Raises Misuse."""
    return Bundled(model.removeprefix(PREFIX))


def code_hash(source: bytes, settings: Settings) -> str:
    """Return what a manifest says of code: SHA-256 over source and settings, 64 hex digits.

    Raises:
        Misuse: a source that is empty, too long, not UTF-8 or shown otherwise than it runs (control characters, and
            the invisible ones that turn or hide what follows them), or settings that are not `checked_settings`.
    """
    if not 0 < len(source) <= LARGEST_SOURCE:
        raise Misuse(f"the source of a bundle has 1 to {LARGEST_SOURCE} bytes, this one has {len(source)}")
    try:
        lines = source.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise Misuse("the source of a bundle is UTF-8: nobody can review what nobody can read") from None
    for number, line in enumerate(lines, 1):
        if not line.replace("\t", " ").isprintable():
            raise Misuse(
                f"line {number} of a bundle's source has a character that no screen shows",
                hint="write it as an escape, \\u202e for one; lines end with a line feed alone",
            )
    return digest(f"{LABEL}/code", source, canonical(dict(checked_settings(settings)))).hex()


def checked_settings(settings: Settings) -> Settings:
    """Return `settings`, which the module is made with, sorted by name.

    Raises:
        Misuse: too many, a name that is none in Python, one twice, or a number that is not finite.
    """
    names = [name for name, _ in settings]
    if len(names) > MOST_SETTINGS or len(set(names)) != len(names) or not all(map(_SETTING.fullmatch, names)):
        raise Misuse(f"a bundle has at most {MOST_SETTINGS} settings, each with a name of its own as Python has names")
    for name, value in settings:
        items = value if isinstance(value, tuple) else (value,)
        if any(isinstance(item, float) and not math.isfinite(item) for item in items):
            raise Misuse(f"setting {name!r} of a bundle is not finite")
    return tuple(sorted(settings, key=lambda pair: pair[0]))


def canonical(value: object) -> bytes:
    """Return the one spelling of plain values that is hashed: JSON, keys sorted, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def tensor_row(name: str, part: str, fan_in: int, fill: float, shape: Sequence[int]) -> Row:
    """Return a tensor as a manifest has it. Raises Misuse for one that cannot be."""
    row: Row = (name, part, fan_in, float(fill), *shape)
    _tensor(row)
    return row


def _tensor(row: Row) -> Tensor:
    match row:
        case (str(name), str(part), int(fan_in), float(fill), *shape) if all(type(axis) is int for axis in shape):
            if part not in tuple(Part) or type(fan_in) is not int:
                raise Misuse(f"a tensor's part is one of {', '.join(Part)}")
            axes = tuple(axis for axis in shape if isinstance(axis, int))
            return Tensor(name=name, shape=axes, part=Part(part), fan_in=fan_in, fill=fill)
    raise Misuse("a bundle's tensor is (name, part, fan_in, fill, length of each axis)")


def _said(inputs: Inputs) -> str:
    return (
        f"{inputs.numbers} numbers and {len(inputs.levels)} categories of {sum(inputs.levels)} levels in all "
        f"for a task of {inputs.task} with {inputs.outputs} output(s)"
    )

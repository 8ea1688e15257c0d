"""Reads TOML strictly, for the researcher's files: an unknown key is refused with the key that was probably meant.

The only file of this room that imports pydantic. Nothing is interpolated, included or taken from the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from federation.errors import Misuse, did_you_mean
from federation.identity import toml_file

__all__ = ["Field", "Strict", "checked", "parsed", "read"]

M = TypeVar("M", bound="Strict")


class Strict(BaseModel):
    """A table whose keys are all known and whose values have the written type: "3" is not 3."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def parsed(text: str, *, where: str) -> Mapping[str, object]:
    """Return the top table of TOML text. Raises Misuse, naming `where` and the line."""
    return toml_file.tables(text.encode(), where=where, remedy="text stands in quotes, lists in [ ], tables in [[ ]]")


def read(path: Path, *, what: str, hint: str = "") -> str:
    """Return the text of a file. Raises Misuse, saying `what` it should have been."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise Misuse(f"there is no {what} at {path}", hint=hint) from None
    except (OSError, UnicodeDecodeError) as fault:
        raise Misuse(f"cannot read the {what} {path}: {type(fault).__name__}", hint=hint) from None


def checked(model: type[M], table: object, *, where: str) -> M:
    """Return `table` as a value of `model`.

    Raises:
        Misuse: the first thing that is wrong, in one sentence, with the key that was probably meant.
    """
    try:
        return model.model_validate(table)
    except ValidationError as faults:
        fault = faults.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            raise Misuse(f"{where} has an unknown key {key!r}", hint=did_you_mean(key, _keys(model))) from None
        if fault["type"] == "missing":
            raise Misuse(f"{where} lacks the key {key!r}", hint=f"known: {', '.join(_keys(model))}") from None
        about = f"key {key!r} of {where}" if key else where
        raise Misuse(f"{about}: {fault['msg'][:1].lower()}{fault['msg'][1:]}") from None


def _keys(model: type[Strict]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]

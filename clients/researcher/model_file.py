"""A trained model goes into a file of its own. Refused: writing over one that is there."""

from __future__ import annotations

from pathlib import Path

from federation.errors import Misuse


def save(path: str | Path, content: bytes) -> Path:
    """Write a new file and return its path.

    Args:
        path: in a folder that exists.
        content: all of the file.

    Raises:
        Misuse: the file is there already, also when another process made it at the same moment.
    """
    path = Path(path)
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise Misuse(f"{path.name} is there already", hint="a checkpoint is never overwritten") from None
    return path

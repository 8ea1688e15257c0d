"""Finds the members of a family: one file in a package is one member, and its name is the file's name.

In a family that has folders (protocols), the folders are the members and the files beside them are its contract.

Nothing is imported before it is asked for, so a program that never asks for strategies never imports torch. A job
carries names, never class paths: a name that has no file in the package does not exist.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TypeVar

from federation.errors import Misuse, did_you_mean

T = TypeVar("T")


def names(package: str) -> tuple[str, ...]:
    """Return the sorted names of a family's members: its folders if it has any, else its modules.

    Names that start with `_` are not members. Folders are scanned once: a file that appears later needs a new process.
    """
    return _scanned(tuple(importlib.import_module(package).__path__))


@functools.cache
def _scanned(folders: tuple[str, ...]) -> tuple[str, ...]:
    found = [m for m in pkgutil.iter_modules(folders) if not m.name.startswith("_")]
    packages = [m for m in found if m.ispkg]
    return tuple(sorted(m.name for m in packages or found))


def look_up(package: str, contract: type[T], name: str) -> type[T]:
    """Return the one class in `package.name` that subclasses `contract`.

    Args:
        package: dotted name of the family's folder, `federation.analytics.statistics` for one.
        contract: the family's contract; the member must subclass it.
        name: the member's name, as it stands in a job; compared with file names, never imported as given.

    Raises:
        Misuse: there is no such member, or its file does not define exactly one.
    """
    known = names(package)
    family = package.rsplit(".", 1)[-1]
    if name not in known:
        raise Misuse(f"{family} has no member named {name!r}", hint=did_you_mean(name, known))
    module = importlib.import_module(f"{package}.{name}")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, contract) and value.__module__.startswith(module.__name__)
    ]
    if len(found) != 1:
        raise Misuse(f"{package}.{name} must define exactly one {contract.__name__}, it defines {len(found)}")
    return found[0]


def discover(package: str, contract: type[T]) -> dict[str, type[T]]:
    """Import the whole family and return `{name: class}`, sorted by name."""
    return {name: look_up(package, contract, name) for name in names(package)}

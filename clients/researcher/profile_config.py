"""`profiles.toml`: which coordinator, as whom, by which roster. It names files and holds no secret.

```toml
default = "gba"                              # may be left out when there is one profile

[gba]
coordinator = "coordinator.example:7443"
keys = "keys/alice"                          # folder made by `federation roster init`
roster = "gba.roster"                        # paths are relative to this file
```
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from clients.researcher.config import Strict, checked, parsed, read
from federation.errors import Misuse, did_you_mean

EXAMPLE = '[gba] with coordinator = "host:port", keys = "keys/me", roster = "gba.roster"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One connection.

    Attributes:
        coordinator: host:port.
        keys: folder of the researcher's key files.
        roster: file of the signed roster.
    """

    name: str
    coordinator: str
    keys: Path
    roster: Path


class _Entry(Strict):
    coordinator: str
    keys: str
    roster: str


def home() -> Path:
    """Return the researcher's folder: FEDERATION_HOME, or `~/.federation`."""
    return Path(os.environ.get("FEDERATION_HOME") or "~/.federation").expanduser()


def profile(name: str = "", *, folder: Path | None = None) -> Profile:
    """Return the profile called `name`; for "", the default or the only one.

    Args:
        name: a table of `profiles.toml`.
        folder: where that file is; `home()` by default.

    Raises:
        Misuse: no file, no such profile, or a key that nobody knows.
    """
    folder = home() if folder is None else folder
    path = folder / "profiles.toml"
    where = path.name
    table = dict(parsed(read(path, what="list of profiles", hint=f"write one: {EXAMPLE}"), where=where))
    chosen = name or _default(table.pop("default", ""), where)
    table.pop("default", None)
    if not table:
        raise Misuse(f"{where} has no profile", hint=f"write one: {EXAMPLE}")
    if not chosen:
        if len(table) > 1:
            raise Misuse(
                f"{where} has {len(table)} profiles and no default", hint=f"name one of {', '.join(sorted(table))}"
            )
        chosen = next(iter(table))
    if chosen not in table:
        raise Misuse(f"{where} has no profile {chosen!r}", hint=did_you_mean(chosen, table))
    entry = checked(_Entry, table[chosen], where=f"profile {chosen!r}")
    return Profile(
        name=chosen,
        coordinator=entry.coordinator,
        keys=folder / Path(entry.keys).expanduser(),
        roster=folder / Path(entry.roster).expanduser(),
    )


def _default(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise Misuse(f"key 'default' of {where} is the name of a profile, as text")
    return value

"""Joint statistics and joint models across jurisdictions whose raw data may not leave home.

`import federation as fed`: `fed.connect` opens a session with a coordinator, `fed.local` runs everything in this
process, `fed.ask` writes questions for `session.run`. What all parties must agree on lives here, plus the
coordinator; programs are in `clients`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from federation.version import VERSION as __version__

if TYPE_CHECKING:
    from clients.local.federation import local
    from clients.researcher.asking import ask
    from clients.researcher.session import connect

# The one place where this wing knows the other: names for a researcher, resolved when they are asked for.
_LAZY = {
    "ask": "clients.researcher.asking",
    "connect": "clients.researcher.session",
    "local": "clients.local.federation",
}

__all__ = ["__version__", "ask", "connect", "local"]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"federation has no {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

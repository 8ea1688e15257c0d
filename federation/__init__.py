"""Joint statistics and joint models across jurisdictions whose raw data may not leave home.

`import federation as fed`: `fed.connect` opens a session with a coordinator, `fed.local` runs everything in this
process, `fed.ask` writes questions for `session.run`, `fed.FedAvg(rounds=20)` says how `session.train` trains. What all
parties must agree on lives here, plus the coordinator; programs are in `clients`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from federation.version import VERSION as __version__

if TYPE_CHECKING:
    from clients.local.federation import local
    from clients.local.numpy_clients import numpy_clients
    from clients.researcher.asking import ask
    from clients.researcher.session import connect

# The one place where this wing knows the other: names for a researcher, resolved when they are asked for.
_LAZY = {
    "ask": "clients.researcher.asking",
    "connect": "clients.researcher.session",
    "local": "clients.local.federation",
    "numpy_clients": "clients.local.numpy_clients",
}

__all__ = ["__version__", "ask", "connect", "local", "numpy_clients"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name[:1].isupper() and name.lower() in _strategies():
        return import_module("clients.researcher.training").strategy(name.lower())
    raise AttributeError(f"federation has no {name!r}; it has {', '.join(__all__)}, and a name for each strategy")


def __dir__() -> list[str]:
    return sorted(__all__)


def _strategies() -> tuple[str, ...]:
    """Return what strategies a job may name; `fed.FedAvg` is "fedavg"."""
    from importlib import import_module

    names: tuple[str, ...] = import_module("federation.registry").names("federation.training.strategies")
    return names

"""A client of Flower's NumPy API behind its SecAgg+ mod; it trains nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchapp import notes
from flwr.app import Context
from flwr.client import Client, NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp


class Idle(NumPyClient):
    """Adds a thousandth."""

    def fit(self, parameters: list[np.ndarray], config: Any) -> tuple[list[np.ndarray], int, dict[str, Any]]:  # noqa: ANN401, ARG002 as Flower calls it
        notes.client_ran()
        return [parameters[0] + np.float32(1e-3)], 1, {}


def client_of(context: Context) -> Client:  # noqa: ARG001 as Flower calls it
    return Idle().to_client()


app = ClientApp(client_fn=client_of, mods=[secaggplus_mod])

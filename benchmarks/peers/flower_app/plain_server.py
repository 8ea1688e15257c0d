"""FedAvg of Flower's message API, with the time of every round."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from benchapp import notes
from flwr.app import ArrayRecord, ConfigRecord, Context, Message
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


class Timed(FedAvg):
    """FedAvg that notes its rounds."""

    noted = notes.Rounds()

    def configure_train(self, *arguments: Any) -> Iterable[Message]:  # noqa: ANN401 as Flower has it
        messages = super().configure_train(*arguments)  # waits until the nodes are there
        self.noted.begin()
        return messages

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:  # noqa: ANN401
        replies = list(replies)
        merged = super().aggregate_train(server_round, replies)
        self.noted.end(sum(not reply.has_error() for reply in replies))
        return merged


@app.main()
def main(grid: Grid, context: Context) -> None:
    asked = context.run_config
    dim, parties = int(asked["dim"]), int(asked["parties"])
    strategy = Timed(fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=parties, min_available_nodes=parties)
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord([np.random.default_rng(0).standard_normal(dim, dtype=np.float32)]),
        num_rounds=int(asked["rounds"]),
        train_config=ConfigRecord({"lr": 0.1}),
    )
    strategy.noted.save()

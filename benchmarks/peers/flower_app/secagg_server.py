"""FedAvg under Flower's SecAgg+ workflow, all shares dealt, with the time of every round."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchapp import notes
from flwr.app import Context
from flwr.common import ndarrays_to_parameters
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.serverapp import Grid, ServerApp

app = ServerApp()
MOST_WEIGHT = 10  # of a client, which all weigh 1


class Timed(FedAvg):
    """FedAvg that notes its rounds."""

    noted = notes.Rounds()

    def configure_fit(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 as Flower has it
        orders = super().configure_fit(*arguments, **named)
        self.noted.begin()
        return orders

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:  # noqa: ANN401
        merged = super().aggregate_fit(server_round, results, failures)
        self.noted.end(len(results))
        return merged


@app.main()
def main(grid: Grid, context: Context) -> None:
    asked = context.run_config
    dim, parties = int(asked["dim"]), int(asked["parties"])
    model = np.random.default_rng(0).standard_normal(dim, dtype=np.float32)
    strategy = Timed(
        fraction_fit=1.0,
        fraction_evaluate=0.0,
        min_fit_clients=parties,
        min_available_clients=parties,
        initial_parameters=ndarrays_to_parameters([model]),
    )
    config = ServerConfig(num_rounds=int(asked["rounds"]))
    secagg = SecAggPlusWorkflow(num_shares=1.0, reconstruction_threshold=2 * parties // 3, max_weight=MOST_WEIGHT)
    DefaultWorkflow(fit_workflow=secagg)(grid, LegacyContext(context=context, config=config, strategy=strategy))
    strategy.noted.save()

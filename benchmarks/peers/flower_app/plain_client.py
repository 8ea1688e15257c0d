"""A client of Flower's message API that trains nothing: it adds a number of its own to every entry."""

from __future__ import annotations

import os

import numpy as np
from benchapp import notes
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:  # noqa: ARG001 as Flower calls it
    (model,) = message.content["arrays"].to_numpy_ndarrays()
    model = model + np.float32(1e-3 * (1 + os.getpid() % 97))  # all differ: equal content would be sent once
    notes.client_ran()
    answer = RecordDict({"arrays": ArrayRecord([model]), "metrics": MetricRecord({"num-examples": 1})})
    return Message(content=answer, reply_to=message)

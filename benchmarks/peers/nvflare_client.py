"""A client script of NVFlare's that trains nothing: it adds a thousandth, and notes when it got what."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import numpy as np
import nvflare.client as flare
from nvflare.app_common.abstract.fl_model import FLModel
from processes import loopback_bytes

SCRATCH = "BENCHMARK_SCRATCH"


def main() -> None:
    notes = Path(os.environ[SCRATCH]) / "rounds.txt"
    flare.init()
    while flare.is_running():
        got = flare.receive()
        if got is None:
            return
        at, moved = time.time(), loopback_bytes()
        ((name, model),) = got.params.items()
        model = np.asarray(model, np.float32) + np.float32(1e-3)
        flare.send(FLModel(params={name: model}, metrics={"accuracy": 0.5}, meta={"NUM_STEPS_CURRENT_ROUND": 1}))
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        with notes.open("a") as file:
            file.write(f"{got.current_round} {at:.4f} {moved} {held:.1f} {model.size}\n")


if __name__ == "__main__":
    main()

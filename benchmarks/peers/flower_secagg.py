"""Flower's SecAgg+ as a peer: its own workflow and its own client mod, in one process, no network on either side.

Every line on standard input is a number of clients that fall silent after they have shared keys; each is answered with
one JSON line. What only this harness does (training that returns a fixed vector, copies as over a wire, counting) is
in nobody's time. Runs in the environment of `make peers`:

    echo 0 | .peers/bin/python benchmarks/peers/flower_secagg.py --parties 10 --dim 1000000
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import time
from collections import Counter, defaultdict

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"  # before flwr is loaded

import numpy as np
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.client.mod.secure_aggregation.secaggplus_mod import secaggplus_mod
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common import recorddict_compat as compat
from flwr.server.client_manager import SimpleClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.strategy import FedAvg
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import SecAggPlusWorkflow
from flwr.supercore.task_identity import TaskIdentity

STAGES = ("setup", "share_keys", "collect_masked_vectors", "unmask")
SILENT_FROM = STAGES.index("collect_masked_vectors")
WEIGHT = 1000  # examples of every client, and the most that the workflow admits
BITS = 22  # the workflow's default: quantization_range = 2^22, clipping_range = 8.0
CLIP = 8.0


class Proxy(ClientProxy):
    """A registered client; the workflow only asks for its number."""

    def __init__(self, node_id: int) -> None:
        super().__init__(str(node_id))
        self.node_id = node_id

    def get_properties(self, *_args, **_kwargs): ...

    def get_parameters(self, *_args, **_kwargs): ...

    def fit(self, *_args, **_kwargs): ...

    def evaluate(self, *_args, **_kwargs): ...

    def reconnect(self, *_args, **_kwargs): ...


def size_bytes(content: RecordDict) -> int:
    """Return the bytes of what a message carries, without its framing."""
    total = 0
    for record in content.config_records.values():
        for value in record.values():
            items = value if isinstance(value, list) else [value]
            total += sum(len(item) if isinstance(item, bytes) else 8 for item in items)
    return total + sum(len(array.data) for record in content.array_records.values() for array in record.values())


class InProcess:
    """The grid between workflow and clients: hands messages over, keeps every client's time."""

    def __init__(self, parties: int, dim: int, silent: int) -> None:
        self.silent = set(range(1, silent + 1))
        self.contexts = {node: Context(1, node, {}, RecordDict(), {}) for node in range(1, parties + 1)}
        self.client_s: dict[int, dict[str, float]] = defaultdict(dict)
        self.client_cpu_s: Counter[int] = Counter()
        self.up: Counter[int] = Counter()
        self.down: Counter[int] = Counter()
        self.inside_s = self.inside_cpu_s = 0.0  # all that is not the server's: clients and this harness
        self._training_s = self._training_cpu_s = 0.0
        self._update = np.random.default_rng(0).standard_normal(dim).astype(np.float32) * np.float32(0.1)

    def update(self, node: int) -> np.ndarray:
        """The vector of a client."""
        return np.roll(self._update, node)

    def send_and_receive(self, messages, timeout=None):
        del timeout
        messages = list(messages)
        began, began_cpu = time.perf_counter(), time.process_time()
        answers = [answer for message in messages if (answer := self._asked(message)) is not None]
        self.inside_s += time.perf_counter() - began
        self.inside_cpu_s += time.process_time() - began_cpu
        return answers

    def _asked(self, message: Message) -> Message | None:
        node = message.metadata.dst_node_id
        stage = str(message.content.config_records["secaggplus_configs"]["stage"])
        if node in self.silent and STAGES.index(stage) >= SILENT_FROM:
            return None
        content = RecordDict(
            {
                name: ConfigRecord(dict(record)) if name in message.content.config_records else record
                for name, record in message.content.items()
            }
        )
        self.down[node] += size_bytes(content)
        own = Message(content, dst_node_id=node, message_type="train", group_id="1")
        self._training_s = self._training_cpu_s = 0.0
        began, began_cpu = time.perf_counter(), time.process_time()
        answer = secaggplus_mod(own, self.contexts[node], self._trained)
        self.client_s[node][stage] = time.perf_counter() - began - self._training_s
        self.client_cpu_s[node] += time.process_time() - began_cpu - self._training_cpu_s
        self.up[node] += size_bytes(answer.content)
        return answer

    def _trained(self, message: Message, _context: Context) -> Message:
        began, began_cpu = time.perf_counter(), time.process_time()
        parameters = ndarrays_to_parameters([self.update(message.metadata.dst_node_id)])
        content = compat.fitres_to_recorddict(FitRes(Status(Code.OK, ""), parameters, WEIGHT, {}), keep_input=False)
        answer = Message(content, reply_to=message)
        self._training_s += time.perf_counter() - began
        self._training_cpu_s += time.process_time() - began_cpu
        return answer


def measured(parties: int, dim: int, silent: int) -> dict[str, object]:
    """Run one round and return its times in milliseconds (medians over clients) and bytes."""
    grid, manager = InProcess(parties, dim, silent), SimpleClientManager()
    for node in grid.contexts:
        manager.register(Proxy(node))
    strategy = FedAvg(fraction_fit=1.0, min_fit_clients=parties, min_available_clients=parties)
    context = LegacyContext(
        context=Context(1, 0, {}, RecordDict(), {}), config=None, strategy=strategy, client_manager=manager
    )
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: 1})
    nothing = ndarrays_to_parameters([np.zeros(1, np.float32)])
    context.state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(nothing, keep_input=True)
    threshold = 2 * parties // 3 + 1  # as ours
    workflow = SecAggPlusWorkflow(1.0, threshold, max_weight=WEIGHT, clipping_range=CLIP, quantization_range=1 << BITS)
    began, began_cpu = time.perf_counter(), time.process_time()
    workflow(grid, context)
    server_s = time.perf_counter() - began - grid.inside_s
    server_cpu_s = time.process_time() - began_cpu - grid.inside_cpu_s

    record = context.state.array_records[MAIN_PARAMS_RECORD]
    (mean,) = parameters_to_ndarrays(compat.arrayrecord_to_parameters(record, keep_input=True))
    alive = [node for node in grid.contexts if node not in grid.silent]
    expected = sum(grid.update(node).astype(np.float64) for node in alive) / len(alive)
    error = float(np.max(np.abs(mean - expected)))
    if error > CLIP * 2 / (1 << BITS) * 2:
        raise SystemExit(f"Flower's mean is off by {error}")

    def middle(stage: str) -> float:
        return statistics.median(grid.client_s[node][stage] for node in alive) * 1000

    return {
        "peer": "flower",
        "parties": parties,
        "dim": dim,
        "dropped": silent,
        "client_ms": statistics.median(sum(grid.client_s[node].values()) for node in alive) * 1000,
        "client_cpu_ms": statistics.median(grid.client_cpu_s[node] for node in alive) * 1000,
        "client_stage_ms": {stage: middle(stage) for stage in STAGES},
        "aggregator_ms": server_s * 1000,
        "aggregator_cpu_ms": server_cpu_s * 1000,
        "up_bytes": statistics.median(grid.up[node] for node in alive),
        "down_bytes": statistics.median(grid.down[node] for node in alive),
        "largest_error": error,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parties", type=int, default=10)
    parser.add_argument("--dim", type=int, default=1_000_000)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 0
    for line in sys.stdin:
        print(json.dumps(measured(asked.parties, asked.dim, int(line))), flush=True)


if __name__ == "__main__":
    main()

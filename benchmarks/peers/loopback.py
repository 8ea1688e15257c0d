"""A whole round between processes on loopback: plain floats and a masked sum, in turn, over the very same line.

The line is ours as it stands: the coordinator's service with its access table, control streams and chunk streams, the
daemon's `Line`, mutual TLS 1.3 with pinned certificates. Only what decides is replaced by the few lines here, so there
are no jobs, policies, rows and nothing is written to disk. Rounds:

    plain   every client uploads float32, the coordinator adds up, every client downloads the mean
    ours    a masked sum of the same floats, from fresh keys to the checked mean at every client
    ahead   as ours, but keys and shares were exchanged before the clock ran, as drivers do while a round is trained

    python benchmarks/peers/loopback.py --parties 3 --dim 1000000 --rounds 9
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import secrets
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

from clients.jurisdiction.daemon import Line
from federation.coordinator import tls
from federation.coordinator.access import AccessInterceptor
from federation.coordinator.run import Outgoing
from federation.coordinator.services import CoordinatorService

import grpc  # isort: skip  # after `tls`, which restricts it
import numpy as np

from federation.domain.roster import Role
from federation.identity import keys, roster_file
from federation.protocols.setup import Setup, chunked
from federation.wire import messages as m

sys.path.insert(0, str(Path(__file__).parents[1]))
from peers.rounds import COORDINATOR, Aggregator, Numbers, Party, as_the_drivers

KINDS = ("plain", "ours", "ahead")
SAID = "benchmark/"  # domain of what only this harness says
LONGEST_S = 300  # for all rounds; a client that failed never answers
WARM = 2  # rounds of every kind that do not count


def said(what: str, body: bytes = b"", parts: tuple[bytes, ...] = ()) -> m.Frame:
    """Return an unsigned frame of this harness; a body that differs keeps its bulk apart."""
    return m.Frame(m.Signed(body, b"", b"", SAID + what), parts)


def standard(roster, parties: list[str], number: int) -> Setup:
    """Return the setup of round `number`."""
    job = hashlib.sha256(f"loopback {number}".encode()).digest()
    return Setup.standard(job_hash=job, round_index=0, roster_hash=roster.hash, parties=parties)


class Table:
    """The coordinator's side: starts rounds, adds up floats or lets the aggregator do its work, keeps the time."""

    def __init__(self, me, roster, parties: list[str], numbers: Numbers, rounds: int) -> None:
        self.ended = asyncio.Event()
        self.spent_ms: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self._me, self._roster, self._parties, self._numbers = me, roster, parties, numbers
        self._kinds = [kind for _ in range(rounds + WARM) for kind in KINDS]
        self._attending: set[str] = set()
        self._heard: dict[str, bytes] = {}
        self._kind, self._number, self._began = "", -1, 0.0
        self._total = np.empty(0)
        self._aggregator: Aggregator | None = None

    def attend(self, party: str, _hello: m.Frame) -> list[Outgoing]:
        self._attending.add(party)
        return self._next() if len(self._attending) == len(self._parties) else []

    def leave(self, party: str) -> list[Outgoing]:
        self._attending.discard(party)
        return []

    def receive(self, party: str, frame: m.Frame) -> list[Outgoing]:
        match frame.signed.domain.removeprefix(SAID):
            case "floats":
                floats = np.frombuffer(b"".join(frame.parts), np.float32)
                self._total = floats.astype(np.float32) if not self._heard else self._total + floats
                if self._everybody(party, b""):
                    mean = (self._total / np.float32(len(self._parties))).tobytes()
                    return self._to_all(said("mean", self._body(), chunked(mean)))
            case "ready":
                if self._everybody(party, b""):
                    self._began = time.perf_counter()
                    return self._to_all(said("go", self._body()))
            case "done":
                if self._everybody(party, frame.signed.body):
                    return self._next()
            case _:
                self._aggregator.start("")
                return [Outgoing(to, out) for to, out in self._aggregator.receive(frame)]
        return []

    def _everybody(self, party: str, body: bytes) -> bool:
        """Whether all have said the same thing now."""
        self._heard[party] = body
        if len(self._heard) < len(self._parties):
            return False
        if len(set(self._heard.values())) > 1:
            raise SystemExit("the clients have different means")
        self._heard.clear()
        return True

    def _next(self) -> list[Outgoing]:
        if self._number >= 0:
            self.spent_ms[self._kind].append((time.perf_counter() - self._began) * 1000)
        self._number += 1
        if self._number == len(self._kinds):
            self.ended.set()
            return []
        self._kind = self._kinds[self._number]
        if self._kind != "plain":
            setup = standard(self._roster, self._parties, self._number)
            self._aggregator = Aggregator(me=self._me, roster=self._roster, setup=setup, spec=self._numbers.spec(setup))
            self._aggregator.open()
        self._began = time.perf_counter()
        return self._to_all(said(self._kind, self._body()))

    def _body(self) -> bytes:
        return self._number.to_bytes(4, "big")

    def _to_all(self, frame: m.Frame) -> list[Outgoing]:
        return [Outgoing(party, frame) for party in self._parties]


class Client:
    """A client's side, in the place of the daemon's driver."""

    def __init__(self, me, roster, parties: list[str], numbers: Numbers) -> None:
        self._me, self._roster, self._parties, self._numbers = me, roster, parties, numbers
        self._floats = numbers.floats(parties.index(me.name))
        self._party: Party | None = None

    def hello(self, _ceremonies: tuple[bytes, ...]) -> m.Frame:
        return said("hello")

    def tick(self, _now_ms: int) -> None:
        return

    def let_go(self, _frame: m.Frame) -> None:
        """Hold what was sent: this client's floats are sent again every round."""

    def receive(self, frame: m.Frame) -> list[m.Frame]:
        what, body = frame.signed.domain.removeprefix(SAID), frame.signed.body
        match what:
            case "plain":
                return [said("floats", body, chunked(self._floats.tobytes()))]
            case "mean":
                return [self._done(np.frombuffer(b"".join(frame.parts), np.float32))]
            case "ours" | "ahead":
                setup = standard(self._roster, self._parties, int.from_bytes(body, "big"))
                self._party = Party(
                    me=self._me,
                    roster=self._roster,
                    setup=setup,
                    spec=self._numbers.spec(setup),
                    vector=lambda: self._numbers.encoded(self._floats),
                    entropy=secrets.token_bytes(32),
                    waits=what == "ahead",
                )
                return self._party.begin()
            case "go":
                self._party.waits = False
                return self._party.contribute()
        self._party.start("")
        answers = self._party.receive(frame)
        if self._party.totals:
            answers.append(self._done(self._numbers.mean(self._party.totals[0])))
        elif self._party.waits and self._party.state.awaits.what == "contribution":
            answers.append(said("ready"))
        return answers

    def _done(self, mean: np.ndarray) -> m.Frame:
        """Say how the mean begins and ends: everybody must have the same one."""
        return said("done", f"{mean[0]:.7f} {mean[-1]:.7f}".encode())


class NoCeremonies:
    """Nobody makes a joint key here."""

    open = ()

    def takes(self, *_: object) -> bool:
        return False

    def greeting(self) -> list[m.Frame]:
        return []


async def joined(folder: Path, name: str, address: str, numbers: Numbers) -> None:
    """Be a client until somebody ends this process."""
    me, roster = keys.load(folder / name), roster_file.load(folder / "roster.json")
    client = Client(me, roster, [member.name for member in roster.with_role(Role.JURISDICTION)], numbers)
    with ThreadPoolExecutor(1) as worker, ThreadPoolExecutor(1) as other:
        ready = SimpleNamespace(me=me, roster=roster)
        await Line(ready, address, client, NoCeremonies(), worker, other, lambda *_: None, lambda _: None).attend()


async def measured(folder: Path, numbers: Numbers, rounds: int) -> dict[str, list[float]]:
    """Serve, start the clients, and return milliseconds of all counted rounds by kind."""
    parties = [f"p{number:03d}" for number in range(numbers.parties)]
    roles = {COORDINATOR: Role.COORDINATOR} | dict.fromkeys(parties, Role.JURISDICTION)
    made = {name: keys.create(folder / name, name, role) for name, role in roles.items()}
    roster = roster_file.convened("loopback", [one.member for one in made.values()])
    for one in made.values():
        roster = roster_file.signed(roster, one)
    roster_file.save(folder / "roster.json", roster)

    table = Table(made[COORDINATOR], roster, parties, numbers, rounds)
    faults: list[Exception] = []
    service = CoordinatorService(roster, "benchmark", lambda *_: None, faults.append)
    service.driver = table
    server = grpc.aio.server(interceptors=[AccessInterceptor(roster)], options=tls.OPTIONS)
    port = server.add_secure_port("127.0.0.1:0", tls.server_credentials(made[COORDINATOR], roster))
    service.added_to(server)
    await server.start()
    arguments = ["--folder", str(folder), "--address", f"127.0.0.1:{port}"]
    arguments += ["--parties", str(numbers.parties), "--dim", str(numbers.dim), "--bits", str(numbers.bits)]
    clients = [
        await asyncio.create_subprocess_exec(sys.executable, __file__, "--join", party, *arguments) for party in parties
    ]
    gone = [asyncio.create_task(client.wait()) for client in clients]
    ended = asyncio.create_task(table.ended.wait())
    try:
        await asyncio.wait({ended, *gone}, timeout=LONGEST_S, return_when=asyncio.FIRST_COMPLETED)
        if not table.ended.is_set():
            early = [party for party, one in zip(parties, gone, strict=True) if one.done()]
            raise SystemExit(f"the rounds did not end; clients gone: {early or 'none'}; faults: {faults or 'none'}")
    finally:
        ended.cancel()
        for client in clients:
            if client.returncode is None:
                client.terminate()
        await asyncio.gather(*gone)
        await server.stop(None)
    return {kind: spent[WARM:] for kind, spent in table.spent_ms.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parties", type=int, default=3)
    parser.add_argument("--dim", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=22)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--join", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    numbers = Numbers(parties=asked.parties, dim=asked.dim, bits=asked.bits)
    as_the_drivers()
    if asked.join:
        asyncio.run(joined(asked.folder, asked.join, asked.address, numbers))
        return
    with tempfile.TemporaryDirectory() as scratch:
        found = asyncio.run(measured(Path(scratch), numbers, asked.rounds))
    print(json.dumps({kind: {"median_ms": statistics.median(spent), "all_ms": spent} for kind, spent in found.items()}))


if __name__ == "__main__":
    main()

"""`fed.local`: all programs in this process, the same code and the same protocols, no daemons and no network.

For notebooks, tests and first steps. It protects nobody from the process that it runs in: the rows of all parties are
in one memory. Its policy is open (k = 1, own figures, any purpose) unless one is given.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from clients.jurisdiction.driver import Driver as Jurisdiction
from clients.jurisdiction.engine import Engine
from clients.jurisdiction.engines.duckdb import DuckDB
from clients.jurisdiction.guard import Guard
from clients.jurisdiction.history import History
from clients.jurisdiction.joint_keys import JointKeys
from clients.jurisdiction.run import Desk
from clients.jurisdiction.vault import MemoryVault, Vault
from clients.local.development import certificate, development_key
from clients.local.infer import inferred
from clients.local.network import Link, Network, honest
from clients.researcher import received
from clients.researcher.session import Session
from clients.researcher.transport import Attendance
from clients.researcher.verified import ending
from federation.coordinator.driver import Driver as Coordinator
from federation.coordinator.store import MemoryStore, Store
from federation.crypto.paillier.keys import PRODUCTION_BITS
from federation.domain.catalogue import Dataset
from federation.domain.job import Job, LogLine, Released, State, Summary, Update
from federation.domain.roster import Role, Roster
from federation.errors import Misuse
from federation.identity import keys, roster_file
from federation.jobs.protection import PAILLIER, named
from federation.policy.rule import Settings
from federation.protocols.events import Release
from federation.version import VERSION
from federation.wire import messages as m
from federation.wire.certificates import Certified
from federation.wire.envelope import signed
from federation.wire.evidence import pieces

TABLE = "data"
RESEARCHER = "researcher"
COORDINATOR = "coordinator"


def local(
    frames: Mapping[str, object],
    *,
    policy: Settings | None = None,
    k: int = 1,
    own_figures: bool = True,
    threads: int | None = None,
    protection: str = "masks",
) -> Session:
    """Return a session on a federation of this process, one party for each frame, with the table "data".

    Args:
        frames: party name -> pandas or polars frame, pyarrow table, or path of a CSV or Parquet file; at least 3.
        policy: what every party permits; anything by default.
        k: least units in a cell of a party's own.
        own_figures: whether a cell that fewer than three parties fill may open.
        threads: of each party's engine; the engine's choice by default.
        protection: "masks", or "paillier" under a development key, whose dealer, this process, could read everything.

    Raises:
        Misuse: another protection, fewer than 3 parties, a name that is none, or frames with columns that do not fit.
    """
    key_bits = PRODUCTION_BITS if named(protection) == PAILLIER else None
    transport = federation_of(frames, policy=policy, k=k, own_figures=own_figures, threads=threads, key_bits=key_bits)
    return Session(transport, protection=protection)


def federation_of(
    frames: Mapping[str, object],
    *,
    policy: Settings | None = None,
    k: int = 1,
    own_figures: bool = True,
    threads: int | None = None,
    published: Mapping[str, Dataset] | None = None,
    link: Link = honest,
    store: Store | None = None,
    key_bits: int | None = None,
) -> LocalTransport:
    """Return the federation itself: `local` with the parts that tests and benchmarks need.

    Args:
        published: descriptions to use instead of the inferred ones.
        link: may look at, change or lose frames.
        store: the coordinator's, instead of one in memory.
        key_bits: give all parties shares of a development key of this length.
    """
    if len(frames) < 3:
        raise Misuse(
            f"a federation needs at least 3 parties, got {len(frames)}",
            hint="with two, the sum shows each the other's figure",
        )
    taken = sorted({RESEARCHER, COORDINATOR} & set(frames))
    if taken:
        raise Misuse(f"no party can be called {taken[0]!r}: another member has this name")
    datasets = published or {
        party: replace(dataset, k=k, own_figures=own_figures) for party, dataset in inferred(TABLE, frames).items()
    }
    credentials = {
        COORDINATOR: keys.made(COORDINATOR, Role.COORDINATOR),
        RESEARCHER: keys.made(RESEARCHER, Role.RESEARCHER),
        **{party: keys.made(party, Role.JURISDICTION) for party in sorted(frames)},
    }
    roster = roster_file.convened("local", [one.member for one in credentials.values()])
    for one in credentials.values():
        roster = roster_file.signed(roster, one)
    coordinator = Coordinator(credentials[COORDINATOR], roster, store or MemoryStore())
    vaults: dict[str, Vault] = {party: MemoryVault() for party in sorted(frames)}
    if key_bits is not None:
        joint, shares = development_key(key_bits, tuple(vaults))
        signatures = certificate(joint, {party: credentials[party] for party in vaults}, _now_ms())
        certified = coordinator.joint_keys.keep(signatures)
        for party, vault in vaults.items():
            JointKeys(vault).keep(certified, shares[party])
    jurisdictions = {}
    for party, vault in vaults.items():
        engine: Engine = DuckDB.open(datasets[party], frames[party], threads=threads)
        desk = desk_of(credentials[party], roster, {datasets[party].name: (datasets[party], engine)}, policy, vault)
        jurisdictions[party] = Jurisdiction(desk, VERSION)
    network = Network(coordinator, jurisdictions, link)
    for party in jurisdictions:
        network.connect(party)
    return LocalTransport(network, roster, credentials[RESEARCHER])


def desk_of(
    me: keys.Credentials,
    roster: Roster,
    data: Mapping[str, tuple[Dataset, Engine]],
    policy: Settings | None,
    vault: Vault,
) -> Desk:
    """Return what a jurisdiction of this process works with."""
    return Desk(
        me=me,
        coordinator=received.coordinator_of(roster),
        roster=roster,
        engines={name: engine for name, (_, engine) in data.items()},
        published={name: dataset for name, (dataset, _) in data.items()},
        guard=Guard(
            me.name, policy or Settings(), {name: dataset for name, (dataset, _) in data.items()}, History(vault)
        ),
        vault=vault,
        entropy=secrets.token_bytes,
        joint_keys=JointKeys(vault),
        development=True,
    )


class LocalTransport:
    """The researcher's transport inside one process; jobs run while `submit` runs."""

    def __init__(self, network: Network, roster: Roster, me: keys.Credentials) -> None:
        self.network, self._roster, self._me = network, roster, me

    @property
    def roster(self) -> Roster:
        return self._roster

    @property
    def me(self) -> str:
        return self._me.name

    def publications(self) -> Mapping[str, Mapping[str, tuple[Dataset, bytes]]]:
        return received.publications_in(self.network.coordinator.publications(), self._roster)

    def joint_keys(self) -> tuple[Certified, ...]:
        keys = self.network.coordinator.joint_keys.all()
        return received.joint_keys_in((key.signatures for key in keys), self._roster)

    def submit(self, job: Job) -> bytes:
        job_hash, outgoing = self.network.coordinator.submit(signed(self._me, m.JOB, job), _now_ms(), self.me)
        self.network.sent(outgoing)
        self.network.settle()
        return job_hash

    def watch(self, job_hash: bytes) -> Iterator[Update]:
        """Yield one line: whoever has not done what was due when nothing is on its way never will."""
        update = self.network.coordinator.update(job_hash, self.me)
        while not update.state.ended:  # each turn goes on without somebody, and the last one is past the deadline
            self.network.sent(self.network.coordinator.tick(_FOREVER_MS))
            self.network.settle()
            update = self.network.coordinator.update(job_hash, self.me)
        yield update

    def attendance(self) -> tuple[Attendance, ...]:
        seen = self.network.coordinator.attendance()
        return tuple(
            Attendance(party=party, connected=here is not None, software=here.software if here else "")
            for party, here in seen.items()
        )

    def jobs(self) -> tuple[Summary, ...]:
        return tuple(summary for summary, _ in self.network.coordinator.summaries(self.me))

    def cancel(self, job_hash: bytes) -> State:
        self.network.sent(self.network.coordinator.cancel(job_hash, self.me))
        self.network.settle()
        return self.network.coordinator.update(job_hash, self.me).state

    def log(self, job_hash: bytes, *, follow: bool) -> Iterator[LogLine]:  # noqa: ARG002 - it has ended when one asks
        yield from self.network.coordinator.log(job_hash, self.me)

    def released(self, job_hash: bytes) -> Released:
        update = self.network.coordinator.update(job_hash, self.me)
        if update.state is not State.RELEASED:
            raise ending(update.state, update.blames, coordinator=received.coordinator_of(self._roster))
        totals, attestations = self.network.coordinator.released(job_hash, self.me)
        numbers, contributors = [release.total for release in totals], [release.parties for release in totals]
        return received.released_in(job_hash, numbers, contributors, attestations, self._roster)

    def evidence(self, job_hash: bytes) -> Iterator[bytes]:
        yield from pieces(self.network.coordinator.evidence(job_hash, self.me)())

    def opened(self, job_hash: bytes, known: int) -> tuple[Release, ...]:
        return self.network.coordinator.opened(job_hash, self.me)[known:]

    def model(self, job_hash: bytes, *, best: bool) -> bytes:
        return self.network.coordinator.model(job_hash, self.me, best=best)()

    def close(self) -> None:
        for jurisdiction in self.network.jurisdictions.values():
            jurisdiction.close()


_FOREVER_MS = 2**62


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

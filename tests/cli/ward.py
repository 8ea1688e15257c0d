"""A member's files and a coordinator's port for the doctor's tests: everything is well until a test plants a fault."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clients.cli.doctor import subject
from clients.cli.doctor.checkup import Attendant, Finding, State, Status
from clients.cli.doctor.examination import Examination, World
from clients.cli.doctor.probes import Resolver, system_resolver
from federation.domain.roster import Role, Roster
from federation.identity import keys, roster_file
from federation.identity.keys import Credentials
from federation.version import VERSION
from tests.channel.loopback import NAMES, signed_by_all

NOW_MS = 1_800_000_000_000
LINE = ["port", "TLS", "status", "clock", "version", "attendance"]  # every check that needs the one before
PARTIES = [name for name, role in NAMES.items() if role is Role.JURISDICTION]
POLICY = 'statistics = ["mean", "count"]\nresearchers = ["ana"]\n'
DATASET = """
[[dataset]]
name = "people"
source = "people.csv"
[dataset.columns]
age = { kind = "integer", low = 0, high = 120 }
sex = { kind = "category", categories = ["f", "m"] }
"""


def status(
    *, now_ms: int = NOW_MS, software: str = VERSION, attend: Sequence[str] = PARTIES, macao: str = ""
) -> Status:
    """What a coordinator says of whom all is well."""
    parties = [
        Attendant(name=name, connected=name in attend, software=macao if macao and name == "macao" else VERSION)
        for name in PARTIES
    ]
    return Status(software=software, now_ms=now_ms, parties=tuple(parties))


def world(
    *,
    said: Status | None = None,
    resolver: Resolver = system_resolver,
    free_bytes: int = 1 << 40,
    environment: Mapping[str, str] | None = None,
    wait_s: float = 5.0,
) -> World:
    """A world in which the coordinator's answer, the clocks and the disk are planned."""
    answer = said or status()
    return World(
        resolver=resolver,
        status=lambda *_: answer,
        clock_ms=lambda: NOW_MS,
        free_bytes=lambda _: free_bytes,
        environment=environment or {},
        wait_s=wait_s,
    )


@dataclass(frozen=True)
class Ward:
    """A folder with everybody's keys, a roster in force, data, and macao's configuration."""

    folder: Path

    @property
    def roster(self) -> Roster:
        return roster_file.load(self.folder / "roster.json")

    def people(self) -> dict[str, Credentials]:
        return {name: keys.load(self.folder / "keys" / name) for name in NAMES}

    def write(
        self, address: str = "127.0.0.1:7443", *, policy: str = POLICY, rest: str = DATASET, state: str = "state"
    ) -> Path:
        path = self.folder / "macao.toml"
        path.write_text(
            f'[jurisdiction]\ncoordinator = "{address}"\nkeys = "keys/macao"\nroster = "roster.json"\n'
            f'state = "{state}"\n[policy]\n{policy}{rest}'
        )
        return path

    def write_coordinator(self, listen: str) -> Path:
        path = self.folder / "coordinator.toml"
        path.write_text(
            f'[coordinator]\nlisten = "{listen}"\nkeys = "keys/relay"\nroster = "roster.json"\nstate = "state"\n'
        )
        return path

    def copied(self, to: Path) -> Ward:
        shutil.copytree(self.folder, to)
        return Ward(to)


def made(folder: Path) -> Ward:
    """Make a ward in a folder."""
    people = {name: keys.create(folder / "keys" / name, name, role) for name, role in NAMES.items()}
    roster_file.save(folder / "roster.json", signed_by_all(people))
    (folder / "people.csv").write_text("age,sex\n31,f\n47,m\n")
    return Ward(folder)


def findings(path: Path, around: World) -> dict[str, Finding]:
    """Run all checks over a file; check -> finding, in their order."""
    found = subject.of_file(path)
    listed = [found] if isinstance(found, Finding) else list(Examination(found, around).findings())
    assert len({finding.check for finding in listed}) == len(listed)
    return {finding.check: finding for finding in listed}


def blamed(found: dict[str, Finding], check: str, *, skipped: Sequence[str] = (), exit_code: int) -> Finding:
    """Return the finding of the one check that failed, after making sure that no other is blamed."""
    by_state: dict[State, list[str]] = {state: [] for state in State}
    for finding in found.values():
        by_state[finding.state].append(finding.check)
    assert by_state[State.FAIL] == [check], by_state
    assert by_state[State.SKIPPED] == list(skipped)
    assert by_state[State.WARN] == []
    assert found[check].exit_code == exit_code
    assert found[check].remedy
    return found[check]


def warned(found: dict[str, Finding], check: str) -> Finding:
    """Return the finding of the one check that warns, after making sure that all others are well."""
    assert {finding.check: finding.state for finding in found.values()} == {
        name: State.WARN if name == check else State.OK for name in found
    }
    return found[check]


@contextlib.contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the address of a port that takes connections and treats each as `answer` says."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    taken = server.accept()[0]
                    with taken:
                        taken.settimeout(2)
                        answer(taken)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def refusing_port() -> str:
    """Return an address of the loopback where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"

"""A whole federation of real processes in one folder, on loopback: keys, roster, configurations, daemons.

For the demo, examples, benchmarks and integration tests. It writes what operators write by hand, starts what they
start, and ends every process that it started.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from clients.cli import daemons
from federation.domain.roster import Role
from federation.errors import FederationError, Misuse
from federation.identity import keys, roster_file

if TYPE_CHECKING:
    from clients.researcher.session import Session

COORDINATOR, RESEARCHER = "coordinator", "researcher"
MARK = "federation-stage"  # file that says that a folder is ours to replace


class Stage:
    """A federation in a folder; a context manager that stops what it started.

    Args:
        folder: made anew; replaced only if a stage made it.
        jurisdictions: name -> the TOML of its `[policy]` and `[[dataset]]` tables.
        told: called with a line of progress for people.
        wire_log: who writes every frame to `<folder>/wire/NAME.log`: everybody if True, or these members.
        coordinator_lines: further lines of the coordinator's `[coordinator]` table.
        development: let the daemons make and use joint keys that protect nobody.
    """

    def __init__(
        self,
        folder: Path,
        jurisdictions: Mapping[str, str],
        told: Callable[[str], None] = lambda _: None,
        *,
        wire_log: bool | Collection[str] = False,
        coordinator_lines: str = "",
        development: bool = False,
    ) -> None:
        self.folder, self._jurisdictions, self._told = folder, dict(jurisdictions), told
        self._wire_log, self._coordinator_lines = wire_log, coordinator_lines
        self._jurisdiction_lines = "development_keys = true\n" if development else ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = ""

    def __enter__(self) -> Self:
        try:
            self.build()
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- files ------------------------------------------------------------------------------------------------------

    def build(self) -> None:
        """Make keys for everybody, let everybody sign the roster, write the configurations.

        Raises:
            Misuse: the folder holds something that no stage made.
        """
        if self.folder.exists() and any(self.folder.iterdir()):
            if not (self.folder / MARK).exists():
                raise Misuse(f"{self.folder} is not empty and no demo made it", hint="name another folder")
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MARK).write_text("made by federation demo; may be deleted\n")
        roles = {COORDINATOR: Role.COORDINATOR, RESEARCHER: Role.RESEARCHER}
        roles |= dict.fromkeys(self._jurisdictions, Role.JURISDICTION)
        made = [keys.create(self.folder / "keys" / name, name, role) for name, role in roles.items()]
        roster = roster_file.convened(self.folder.name, [one.member for one in made])
        for one in made:
            roster = roster_file.signed(roster, one)
        roster_file.save(self.folder / "roster.json", roster)
        self._write_coordinator("127.0.0.1:0")
        self._told(f"keys for {len(made)} members; everybody signed the roster")

    def coordinator_file(self) -> Path:
        """The coordinator's configuration."""
        return self.folder / "coordinator.toml"

    def jurisdiction_file(self, name: str) -> Path:
        """A jurisdiction's configuration."""
        return self.folder / f"{name}.toml"

    def state(self, name: str) -> Path:
        """The state folder of the coordinator or of a jurisdiction."""
        return self.folder / "state" / name

    def wire_log(self, name: str) -> Path:
        """Where a member writes its frames, if it does."""
        return self.folder / "wire" / f"{name}.log"

    def _wire_line(self, name: str) -> str:
        written = self._wire_log if isinstance(self._wire_log, bool) else name in self._wire_log
        return f'wire_log = "wire/{name}.log"\n' if written else ""

    def _write_coordinator(self, listen: str) -> None:
        self.coordinator_file().write_text(
            f'[coordinator]\nlisten = "{listen}"\nkeys = "keys/{COORDINATOR}"\nroster = "roster.json"\n'
            f'state = "state/{COORDINATOR}"\n{self._wire_line(COORDINATOR)}{self._coordinator_lines}'
        )

    def _write_jurisdiction(self, name: str, rest: str) -> None:
        self.jurisdiction_file(name).write_text(
            f'[jurisdiction]\ncoordinator = "{self.address}"\nkeys = "keys/{name}"\nroster = "roster.json"\n'
            f'state = "state/{name}"\n{self._wire_line(name)}{self._jurisdiction_lines}\n{rest}'
        )

    def _write_profile(self) -> None:
        (self.folder / "profiles.toml").write_text(
            f'[demo]\ncoordinator = "{self.address}"\nkeys = "keys/{RESEARCHER}"\nroster = "roster.json"\n'
        )

    # --- processes --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the coordinator, then all jurisdictions at once; return when everybody attends."""
        self.start_coordinator()
        self._write_profile()
        for name, rest in self._jurisdictions.items():
            self._write_jurisdiction(name, rest)
            self.launch(name)
        for name in self._jurisdictions:
            self.await_attending(name)
        self._told(f"{', '.join(self._jurisdictions)} attend; each daemon keeps its rows")

    def start_coordinator(self) -> None:
        """Start the coordinator, on the port that it had before if it ran before."""
        state = self.state(COORDINATOR)
        arguments = ["coordinator", "start", "--config", str(self.coordinator_file())]
        self.processes[COORDINATOR] = daemons.launched(arguments, state)
        status = daemons.ready(self.processes[COORDINATOR], state, "address", settle_s=0)
        self.address = str(status["address"])
        self._write_coordinator(self.address)
        self._told(f"the coordinator listens on {self.address}, process {status['pid']}")

    def launch(self, name: str) -> None:
        """Start a jurisdiction's daemon without waiting for it."""
        arguments = ["jurisdiction", "start", str(self.jurisdiction_file(name))]
        self.processes[name] = daemons.launched(arguments, self.state(name))

    def await_attending(self, name: str) -> None:
        """Return when a launched jurisdiction attends."""
        daemons.ready(self.processes[name], self.state(name), "connected", settle_s=0)

    def stop(self) -> None:
        """End every process that this stage started, the coordinator last; those that do not answer are killed."""
        jurisdictions = [name for name in self.processes if name != COORDINATOR]
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._end, jurisdictions))
        if COORDINATOR in self.processes:
            self._end(COORDINATOR)

    def kill(self, name: str) -> int:
        """End a process with SIGKILL, as a power cut does; return its id, once it is gone."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()
        return process.pid

    def freeze(self, name: str) -> None:
        """Let a process stand still (SIGSTOP); return when it does."""
        process = self.processes[name]
        process.send_signal(signal.SIGSTOP)
        daemons.await_state(process.pid, daemons.STANDS_STILL)

    def thaw(self, name: str) -> None:
        """Let a process that stands still go on (SIGCONT)."""
        self.processes[name].send_signal(signal.SIGCONT)

    def _end(self, name: str) -> None:
        self.thaw(name)
        with contextlib.suppress(FederationError):
            daemons.stopped(self.state(name))
        process = self.processes.pop(name)
        if process.poll() is None:
            process.kill()
        process.wait()

    def make_keys(self, circles: Sequence[Sequence[str]], bits: int) -> None:
        """Let the daemons of each circle make a joint key, all at once; return when they have them."""
        from clients.cli import stage_keys

        stage_keys.made(circles, bits, state=self.state, told=self._told)

    def session(self, *, protection: str = "") -> Session:
        """Return a researcher's session with this federation."""
        from clients.researcher.session import connect

        return connect("demo", home=self.folder, protection=protection)

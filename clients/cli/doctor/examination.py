"""The checks of `federation doctor` in their order, for a jurisdiction, the coordinator or a researcher.

Everything here looks and nothing is changed: no daemon is started, no folder made, no file left. What the checks touch
outside this machine's files is a `World`, so that tests plant faults without a network.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clients.cli.doctor import checkup, probes, state_folder
from clients.cli.doctor.checkup import Finding, NotNow, Status, Step, Told
from clients.cli.doctor.subject import Subject
from clients.cli.main import installed_version
from federation.domain.roster import Role, Roster
from federation.errors import Refused
from federation.identity import keys, roster_file
from federation.identity.keys import Credentials

CONFIGURATION, KEYS, ROSTER, MEMBER, POLICY = "configuration", "keys", "roster", "member", "policy"
STATE, DISK, ADDRESS, HOST, PORT = "state folder", "disk", "address", "host name", "port"
TLS, STATUS, CLOCK, VERSION, ATTENDANCE = "TLS", "status", "clock", "version", "attendance"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what a coordinator listens on, and where to dial it


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the checks ask: resolver, coordinator, clock, disk and environment; and how long each may take."""

    resolver: probes.Resolver = probes.system_resolver
    status: Callable[[str, Credentials, Roster, float], Status] = probes.asked
    clock_ms: Callable[[], int] = _now_ms
    free_bytes: Callable[[Path], int] = state_folder.free_bytes
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    wait_s: float = probes.WAIT_S


class Examination:
    """One run over one subject; a step keeps what later steps need."""

    def __init__(self, subject: Subject, world: World) -> None:
        self._subject, self._world = subject, world
        self._address = subject.address
        self._me: Credentials | None = None
        self._roster: Roster | None = None
        self._places: tuple[probes.Place, ...] = ()
        self._status: tuple[Status, int, int] | None = None

    def findings(self) -> Iterator[Finding]:
        """Run every check and yield its finding when it is there."""
        yield self._subject.configuration
        missing = () if self._subject.configuration.state is not checkup.State.FAIL else (CONFIGURATION,)
        yield from checkup.examined(self.steps(), missing)

    def steps(self) -> list[Step]:
        """Return the checks after the configuration."""
        role = self._subject.role
        listens = role is Role.COORDINATOR
        steps = [
            Step(KEYS, self._keys, remedy="restore the folder from your own backup"),
            Step(ROSTER, self._in_force, remedy="take the file from another member"),
            Step(MEMBER, self._member, (KEYS, ROSTER)),
        ]
        if role is Role.JURISDICTION:
            steps.append(Step(POLICY, self._policy, (CONFIGURATION,)))
            data = [
                Step(f"data {name}", look, remedy="correct the data, or what [[dataset]] says of them")
                for name, look in self._subject.datasets
            ]
            steps += data or [Step("data sets", self._no_data, (CONFIGURATION,))]
        return [
            *steps,
            Step(STATE, self._state),
            Step(DISK, self._disk),
            Step(ADDRESS, self._addressed),
            Step(HOST, self._host, (ADDRESS,)),
            Step(PORT, self._listening, (HOST, STATE)) if listens else Step(PORT, self._port, (HOST,)),
            Step(TLS, self._tls, (PORT, MEMBER)),
            Step(STATUS, self._asked, (TLS,), "ask the coordinator's operator for its log"),
            Step(CLOCK, self._clock, (STATUS,)),
            Step(VERSION, self._version, (STATUS,)),
            Step(ATTENDANCE, self._attendance, (STATUS,)),
        ]

    # --- files --------------------------------------------------------------------------------------------------------

    def _keys(self) -> Told:
        self._me = keys.load(self._subject.keys)
        return Told(f"{self._me.name}'s, and nobody else can read them")

    def _in_force(self) -> Told:
        roster = roster_file.in_force(roster_file.load(self._subject.roster))
        self._roster = roster
        return Told(f"{roster.federation}, version {roster.version}, signed by all {len(roster.members)} members")

    def _member(self) -> Told:
        me, roster = self._mine(), self._known()
        if me.name not in {member.name for member in roster.members}:
            raise Refused(
                f"the roster of {roster.federation} has no member {me.name}",
                rule="roster",
                hint="set `keys` and `roster` to those of one federation, or ask for a roster that has us",
            )
        keys.check_joined(me, roster)
        checkup.role(me.name, me.role.value, self._subject.role.value)
        return Told(f"{me.name} is in the roster as {me.role.value}, with these keys")

    def _policy(self) -> Told:
        from federation import registry
        from federation.analytics.statistic import Statistic
        from federation.policy.rule import TRAINING
        from federation.training.plan import MODELS, STRATEGIES

        permitted = self._subject.policy
        statistics = {*registry.discover("federation.analytics.statistics", Statistic), TRAINING}
        people = {m.name for m in self._roster.with_role(Role.RESEARCHER)} if self._roster else set()
        for one, names, family in (
            ("model", permitted.models, MODELS),
            ("strategy", permitted.strategies, STRATEGIES),
        ):
            if told := checkup.unknown(one, [name for name in names or () if ":" not in name], registry.names(family)):
                return told  # what has a colon is a reviewed bundle's hash, which only its operator knows
        return checkup.policy(permitted.statistics, permitted.researchers, statistics, people)

    def _state(self) -> Told:
        folder = self._subject.state
        daemon = state_folder.running(folder, self._world.wait_s)
        if daemon is None:
            state_folder.not_held(folder)
        if not state_folder.written(folder):
            return Told(f"{folder.name} is made at the first start")
        return Told(f"in use by its own daemon, process {daemon['pid']}" if daemon else "free, and can be written")

    def _disk(self) -> Told:
        return checkup.space(self._world.free_bytes(self._subject.state))

    @staticmethod
    def _no_data() -> Told:
        return Told("none is published", "declare one: a table [[dataset]]")

    # --- the line -----------------------------------------------------------------------------------------------------

    def _addressed(self) -> Told:
        if self._subject.role is Role.COORDINATOR and self._address.endswith(":0"):
            probes.parsed(f"{self._address[:-1]}1")  # port 0, any free one, is for listening only
        else:
            host, _ = probes.parsed(self._address)
            variable = probes.proxy(host, self._world.environment)
            if variable:
                remedy = f"what follows is tried without it; `export no_proxy={host}` if no proxy is wanted"
                return Told(f"{self._address}, through the proxy of {variable}", remedy)
        return Told(self._address)

    def _host(self) -> Told:
        host, _, port = self._address.rpartition(":")
        self._places = probes.resolved(host.strip("[]"), int(port), self._world.resolver, self._world.wait_s)
        found = sorted({str(where[0]) for _, where in self._places})
        return Told(f"{host} is an address" if found == [host.strip("[]")] else f"{host} is {', '.join(found)}")

    def _port(self) -> Told:
        self._places = (probes.connected(self._places, self._address, self._world.wait_s),)
        return Told(f"{self._address} takes connections")

    def _listening(self) -> Told:
        """The coordinator's own port: taken by the coordinator that runs, or free."""
        daemon = state_folder.running(self._subject.state, self._world.wait_s)
        address = str(daemon.get("address") or "") if daemon else ""
        if not address:
            probes.free_to_listen(self._places[0], self._address)
            self._places = ()
            return Told(f"{self._address} is free; nothing listens until `federation coordinator start`")
        host, _, port = address.rpartition(":")
        self._address = f"{_EVERYWHERE.get(host.strip('[]'), host)}:{port}"
        host = self._address.rpartition(":")[0].strip("[]")
        self._places = probes.resolved(host, int(port), self._world.resolver, self._world.wait_s)
        return self._port()

    def _tls(self) -> Told:
        if not self._places:
            raise NotNow("the coordinator does not run")
        (coordinator,) = self._known().with_role(Role.COORDINATOR)
        version = probes.shaken(self._places[0], self._address, self._mine(), coordinator, self._world.wait_s)
        return Told(f"{version}; {coordinator.name} as in the roster, and it accepts us")

    def _asked(self) -> Told:
        before_ms = self._world.clock_ms()
        status = self._world.status(self._address, self._mine(), self._known(), self._world.wait_s)
        self._status = status, before_ms, self._world.clock_ms()
        return Told("the coordinator answers")

    def _clock(self) -> Told:
        status, before_ms, after_ms = self._answer()
        return checkup.clock(status.now_ms, before_ms, after_ms)

    def _version(self) -> Told:
        return checkup.versions(installed_version(), self._answer()[0])

    def _attendance(self) -> Told:
        parties = [member.name for member in self._known().with_role(Role.JURISDICTION)]
        return checkup.attendance(self._answer()[0], self._mine().name, parties)

    # --- what earlier steps found; the runner does not call a step whose needs failed ---------------------------------

    def _mine(self) -> Credentials:
        if self._me is None:
            raise NotNow("it needs keys")
        return self._me

    def _known(self) -> Roster:
        if self._roster is None:
            raise NotNow("it needs roster")
        return self._roster

    def _answer(self) -> tuple[Status, int, int]:
        if self._status is None:
            raise NotNow("it needs status")
        return self._status

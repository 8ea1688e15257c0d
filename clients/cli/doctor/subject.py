"""Whom `federation doctor` examines: what a configuration says, as far as it can be understood.

A file whose policy or data sets have a fault still says where keys, roster and coordinator are, and those are examined.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clients.cli.doctor import checkup
from clients.cli.doctor.checkup import Finding, State, Told
from federation.domain.roster import Role
from federation.errors import FederationError, Misuse, did_you_mean
from federation.policy.rule import Settings

if TYPE_CHECKING:
    from clients.jurisdiction.config import DatasetConfig, IdentityConfig

CHECK = "configuration"
REMEDY = "correct the file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One member's configuration.

    Attributes:
        address: what is dialled, for the coordinator what it listens on.
        state: the folder that is written.
        datasets: name -> a look at the data, for a jurisdiction.
    """

    role: Role
    configuration: Finding
    address: str
    keys: Path
    roster: Path
    state: Path
    policy: Settings = field(default_factory=Settings)
    datasets: tuple[tuple[str, Callable[[], Told]], ...] = ()


def of_file(path: Path) -> Subject | Finding:
    """Return the subject of a jurisdiction's or the coordinator's file, or the one finding that is to be had."""
    document = _document(path)
    tables = sorted({"jurisdiction", "coordinator"} & set(document))
    if not tables and document:
        near = next((hint for name in document if (hint := did_you_mean(name, ["jurisdiction", "coordinator"]))), "")
        fault = Misuse(f"{path} has neither a table [jurisdiction] nor [coordinator]", hint=near)
        return checkup.failed(CHECK, fault, REMEDY)
    try:
        return _coordinator(path) if tables[:1] == ["coordinator"] else _jurisdiction(path)
    except FederationError as fault:
        told = checkup.failed(CHECK, fault, REMEDY)
        return _understood(path, document.get("jurisdiction"), told) or told


def of_profile(name: str) -> Subject | Finding:
    """Return the subject of a researcher's profile, "" for the default one."""
    from clients.researcher import profile_config

    try:
        found = profile_config.profile(name)
    except FederationError as fault:
        return checkup.failed(CHECK, fault, REMEDY)
    return Subject(
        role=Role.RESEARCHER,
        configuration=_well(f"profile {found.name}"),
        address=found.coordinator,
        keys=found.keys,
        roster=found.roster,
        state=profile_config.home(),
    )


def _coordinator(path: Path) -> Subject:
    from federation.coordinator.config import load

    found = load(path)
    return Subject(
        role=Role.COORDINATOR,
        configuration=_well(f"{path.name} is a coordinator's"),
        address=found.listen,
        keys=found.keys,
        roster=found.roster,
        state=found.state,
    )


def _jurisdiction(path: Path) -> Subject:
    from clients.jurisdiction.config import load

    config = load(path)
    count = len(config.dataset)
    text = f"{path.name} is a jurisdiction's, with {count} data {'set' if count == 1 else 'sets'}"
    found = _placed(config.jurisdiction, path, _well(text))
    return Subject(
        role=found.role,
        configuration=found.configuration,
        address=found.address,
        keys=found.keys,
        roster=found.roster,
        state=found.state,
        policy=config.settings(),
        datasets=tuple((each.name, _look(each, config.jurisdiction.threads)) for each in config.dataset),
    )


def _look(config: DatasetConfig, threads: int) -> Callable[[], Told]:
    def look() -> Told:
        from clients.jurisdiction.config import described
        from clients.jurisdiction.engine import Engine
        from federation import registry

        dataset = described(config)
        kind = registry.look_up("clients.jurisdiction.engines", Engine, config.engine)
        kind.open(dataset, config.rows, threads=threads or None).close()
        return Told(f"{Path(config.source).name} opens, {len(dataset.columns)} columns as published")

    return look


def _understood(path: Path, table: object, told: Finding) -> Subject | None:
    """Return what the table [jurisdiction] says by itself, where the fault is in another one."""
    from clients.jurisdiction.config import IdentityConfig

    if not isinstance(table, Mapping):
        return None
    try:
        return _placed(IdentityConfig.model_validate(table), path, told)
    except ValueError:  # pydantic's own is one
        return None


def _placed(table: IdentityConfig, path: Path, told: Finding) -> Subject:
    at = path.absolute().parent  # paths that are absolute already stay
    return Subject(
        role=Role.JURISDICTION,
        configuration=told,
        address=table.coordinator,
        keys=at / table.keys,
        roster=at / table.roster,
        state=at / table.state,
    )


def _document(path: Path) -> Mapping[str, object]:
    """Return the TOML of a file, {} if there is none: whoever loads it says why."""
    try:
        return tomllib.loads(path.read_bytes().decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _well(text: str) -> Finding:
    return Finding(check=CHECK, state=State.OK, text=text)

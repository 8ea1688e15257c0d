"""The coordinator's one TOML file; unknown keys are refused with "did you mean"."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from federation.errors import Misuse, did_you_mean


class CoordinatorConfig(BaseModel):
    """Where the coordinator listens and what it keeps; paths are relative to the file.

    Attributes:
        listen: `host:port`; port 0 takes a free one and writes it to `<state>/address`.
        keys: folder that `federation roster join` made.
        roster: the roster file that every member signed.
        state: folder for the event log and the control socket.
        wire_log: file that gets every frame in both directions, for audits and tests; "" for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: str = "127.0.0.1:7443"
    keys: Path
    roster: Path
    state: Path
    wire_log: Path | None = None
    log: str = Field(default="info", pattern="^(debug|info|warning|error)$")


def load(path: Path) -> CoordinatorConfig:
    """Read the table `[coordinator]` of a TOML file.

    Raises:
        Misuse: no such file, not TOML, an unknown key or a value of another type; one line, with the key.
    """
    try:
        text = path.read_bytes()
    except OSError as fault:
        raise Misuse(
            f"cannot read {path}: {fault.strerror}", hint="federation coordinator start --config FILE"
        ) from None
    try:
        document = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise Misuse(f"{path} is not TOML: {fault}") from None
    unknown = sorted(set(document) - {"coordinator"})
    if unknown:
        raise Misuse(f"{path}: unknown table {unknown[0]!r}", hint=did_you_mean(unknown[0], ["coordinator"]))
    try:
        config = CoordinatorConfig.model_validate(document.get("coordinator", {}))
    except ValidationError as fault:
        raise _explained(path, fault) from None
    at = path.absolute().parent
    return config.model_copy(
        update={
            "keys": at / config.keys,
            "roster": at / config.roster,
            "state": at / config.state,
            "wire_log": at / config.wire_log if config.wire_log else None,
        }
    )


def _explained(path: Path, fault: ValidationError) -> Misuse:
    # An unknown key is why another one is missing: it is told first.
    first = min(fault.errors(), key=lambda error: error["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return Misuse(f"{path}: unknown key {key!r}", hint=did_you_mean(key, CoordinatorConfig.model_fields))
    return Misuse(f"{path}: key {key!r}: {first['msg']}")

"""The coordinator's one TOML file; unknown keys are refused with "did you mean"."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from federation.coordinator.patience import Patience
from federation.errors import Misuse, did_you_mean
from federation.identity import toml_file


class CoordinatorConfig(BaseModel):
    """Where the coordinator listens and what it keeps; paths are relative to the file.

    Attributes:
        listen: `host:port`; port 0 takes a free one and writes it to `<state>/address`.
        keys: folder that `federation roster join` made.
        roster: the roster file that every member signed.
        state: folder for the event log and the control socket.
        away_s: how long a sum that may go on without a party waits for one whose line is closed.
        silent_s: the same for one that is connected and does not answer; a long query takes its time.
        wire_log: file that gets every frame in both directions, for audits and tests; "" for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def patience(self) -> Patience:
        """The two waits, as the driver wants them."""
        return Patience(away_ms=round(self.away_s * 1000), silent_ms=round(self.silent_s * 1000))

    listen: str = "127.0.0.1:7443"
    keys: Path
    roster: Path
    state: Path
    wire_log: Path | None = None
    away_s: float = Field(default=30.0, ge=0, le=86_400)
    silent_s: float = Field(default=900.0, ge=1, le=86_400)
    log: str = Field(default="info", pattern="^(debug|info|warning|error)$")


def load(path: Path) -> CoordinatorConfig:
    """Read the table `[coordinator]` of a TOML file.

    Raises:
        Misuse: no such file, not TOML, an unknown key or a value of another type; one line, with the key.
    """
    document = toml_file.read(path, hint="federation coordinator start --config FILE")
    unknown = sorted(set(document) - {"coordinator"})
    if unknown:
        hint = did_you_mean(unknown[0], ["coordinator"]) or "everything stands in the table [coordinator]"
        raise Misuse(f"{path}: unknown table {toml_file.key((unknown[0],))!r}", hint=hint)
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
    key = toml_file.key(first["loc"] or ("coordinator",))
    if first["type"] == "extra_forbidden":
        hint = did_you_mean(key, CoordinatorConfig.model_fields) or "remove it"
        return Misuse(f"{path}: unknown key {key!r}", hint=hint)
    hint = "`federation coordinator --help` shows the whole file"
    return Misuse(f"{path}: key {key!r}: {first['msg']}", hint=hint)

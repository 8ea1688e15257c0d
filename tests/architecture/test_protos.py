"""The protos follow buf's STANDARD rules and every element has a comment; each planted fault is reported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOUND = """// A planted proto.
syntax = "proto3";

package federation.wire.v1;

// What a thing is.
enum Planted {
  // Not said; refused.
  PLANTED_UNSPECIFIED = 0;
  // Said.
  PLANTED_SAID = 1;
}

// Asks for a thing.
message AskPlantedRequest {
  // Which job.
  bytes job_hash = 1;
}

// The thing.
message AskPlantedResponse {
  // What it is.
  Planted planted = 1;
}

// Answers for things.
service PlantedService {
  // Answers.
  rpc AskPlanted(AskPlantedRequest) returns (AskPlantedResponse);
}
"""

# What is replaced, by what, and the rule of buf that must name it.
FAULTS = {
    "an enum without an unspecified value": ("PLANTED_UNSPECIFIED", "PLANTED_NONE", "ENUM_ZERO_VALUE_SUFFIX"),
    "a field in camel case": ("job_hash", "jobHash", "FIELD_LOWER_SNAKE_CASE"),
    "a request that answers too": ("returns (AskPlantedResponse)", "returns (AskPlantedRequest)", "RPC_RE"),
    "a service without the word": ("PlantedService", "Planting", "SERVICE_SUFFIX"),
    "a field without a comment": ("  // Which job.\n", "", "COMMENT_FIELD"),
    "a package at another place": ("federation.wire.v1", "federation.wire.v2", "PACKAGE_DIRECTORY_MATCH"),
}


def lint(house: Path) -> subprocess.CompletedProcess[str]:
    """Return what `buf lint` says in `house`."""
    buf = Path(sys.executable).with_name("buf")
    command = [buf, "lint", "--error-format", "json"]
    return subprocess.run(command, cwd=house, capture_output=True, text=True, check=False)


@pytest.fixture
def house(repository: Path, tmp_path: Path) -> Path:
    """Return a copy of the protos and of buf's configuration."""
    shutil.copytree(repository / "protos", tmp_path / "protos")
    shutil.copy(repository / "buf.yaml", tmp_path)
    return tmp_path


def plant(house: Path, source: str) -> None:
    """Write one more proto into the house."""
    folder = house / "protos" / "federation" / "wire" / "v1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "planted.proto").write_text(source, "utf-8")


def test_the_protos_and_a_sound_one_more_pass(house: Path) -> None:
    plant(house, SOUND)
    done = lint(house)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_reported(house: Path, name: str) -> None:
    old, new, rule = FAULTS[name]
    assert old in SOUND
    plant(house, SOUND.replace(old, new))
    done = lint(house)
    assert done.returncode != 0, f"nobody saw it: {name}"
    assert "planted.proto" in done.stdout
    assert rule in done.stdout, done.stdout

"""What every test stands on: a home of its own, short paths, and properties that ignore how fast the machine is."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline: a loaded machine is not a defect. The draws of a test are the same in every run, so that a commit has one
# verdict and a count of endings means something; HYPOTHESIS_PROFILE=deep draws afresh and ten times as much.
settings.register_profile("house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "deep", parent=settings.get_profile("house"), derandomize=False, max_examples=1000, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))

GROUND = pytest.StashKey[Path]()


@pytest.hookimpl(tryfirst=True)  # before pytest makes its own temporary folders
def pytest_configure(config: pytest.Config) -> None:
    """Give the session a home that is nobody's, and temporary folders that a socket's path fits into.

    No test reads or writes the profiles and keys of whoever runs it. A Unix socket has a path of at most 107 bytes, and
    the folders that workers get by default take 70 of them.

    Bytecode is kept, whatever the environment says: hundreds of daemons and commands are started, and each of them, and
    each worker with its rewritten asserts, would compile the whole house again.
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    ground = config.stash[GROUND] = Path(tempfile.mkdtemp(prefix="fed-"))
    os.environ["FEDERATION_HOME"] = str(ground / "home")
    os.environ["GRPC_VERBOSITY"] = "NONE"  # as in our programs, before any test loads gRPC
    if hasattr(config, "workerinput") or config.option.basetemp is None:
        config.option.basetemp = ground / "t"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test whose name holds an address in memory: two workers would not agree on what there is to run."""
    wandering = [item.nodeid for item in items if " at 0x" in item.nodeid.lower()]
    if wandering:
        message = f"name the cases of these tests, their ids change from process to process: {wandering}"
        raise pytest.UsageError(message)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remove what the session wrote; after a failure it stays, to be looked at."""
    if exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(session.config.stash[GROUND], ignore_errors=True)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return Path(__file__).resolve().parent.parent

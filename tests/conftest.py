"""What every test stands on: a home of its own, and properties that do not depend on the speed of the machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline: a loaded machine is not a defect. HYPOTHESIS_PROFILE=deep searches ten times as far.
settings.register_profile("house", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", parent=settings.get_profile("house"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


def pytest_configure() -> None:
    """Give the session a home that is nobody's: no test reads or writes the profiles and keys of whoever runs it."""
    os.environ["FEDERATION_HOME"] = tempfile.mkdtemp(prefix="federation-home-")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return Path(__file__).resolve().parent.parent

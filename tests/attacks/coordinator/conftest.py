"""As in the tests of honest drivers: each signature is made and checked once."""

from __future__ import annotations

from tests.coordinator.conftest import each_signature_once

__all__ = ["each_signature_once"]

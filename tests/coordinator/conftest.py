"""A thousand runs differ at one boundary and say the same bytes before it: each signature is made and checked once."""

from __future__ import annotations

from functools import lru_cache

import pytest

from federation.crypto import signing

MADE = lru_cache(maxsize=50_000)(signing.sign)
CHECKED = lru_cache(maxsize=50_000)(signing.verify)


@pytest.fixture(autouse=True)
def each_signature_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember what pure functions returned."""
    monkeypatch.setattr(signing, "sign", MADE)
    monkeypatch.setattr(signing, "verify", CHECKED)

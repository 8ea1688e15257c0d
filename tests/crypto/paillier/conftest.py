"""Keys whose factors anybody can read, and threads to lend."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from federation.crypto import blinding
from federation.crypto.paillier.keys import OwnerKey, PublicKey
from federation.crypto.paillier.threshold import JointKey, KeyShare, dealt

KEYS = Path(__file__).parent.parent.parent / "vectors" / "paillier" / "owner_keys.json"
KEY_OF = {key["bits"]: key for key in json.loads(KEYS.read_text())["keys"]}


def known(bits: int) -> OwnerKey:
    return OwnerKey(p=int(KEY_OF[bits]["p"], 16), q=int(KEY_OF[bits]["q"], 16))


@pytest.fixture(scope="session")
def owner() -> OwnerKey:
    """512 bits, for whatever does not depend on the length."""
    return known(512)


@pytest.fixture(scope="session")
def public(owner: OwnerKey) -> PublicKey:
    return owner.public


@pytest.fixture(scope="session")
def owner_of() -> Callable[[int], OwnerKey]:
    """The development key of so many bits."""
    return known


@pytest.fixture
def two_threads() -> Iterator[ThreadPoolExecutor]:
    """Threads that are lent as a daemon lends them."""
    with ThreadPoolExecutor(2) as pool:
        take_back = blinding.lend(pool.map)
        yield pool
        take_back()


@pytest.fixture(scope="session")
def dealt_key() -> tuple[JointKey, dict[str, KeyShare]]:
    """A key of 512 bits that three hold, as one dealer made it."""
    return dealt(512, ["guangdong", "hongkong", "macao"], bytes(31) + b"\x06")


@pytest.fixture(scope="session")
def joint(dealt_key: tuple[JointKey, dict[str, KeyShare]]) -> JointKey:
    return dealt_key[0]


@pytest.fixture(scope="session")
def shares(dealt_key: tuple[JointKey, dict[str, KeyShare]]) -> dict[str, KeyShare]:
    return dealt_key[1]

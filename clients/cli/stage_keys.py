"""Joint keys for a federation of real processes: its daemons make them between each other, as they would anywhere.

What operators do by hand, `federation key ceremony` and `key approve`, is done here over the same control sockets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from federation.errors import JobFailed, Unavailable
from federation.identity import control

POLL_S: Final = 0.25  # of local control sockets
NEWS_S: Final = 10.0  # between two lines about one key
LONGEST_S: Final = 1800.0


def made(
    circles: Sequence[Sequence[str]], bits: int, *, state: Callable[[str], Path], told: Callable[[str], None]
) -> None:
    """Let the daemons of each circle make one joint key; return when every holder has its share and the certificate.

    Args:
        circles: the holders of each key; each attends.
        bits: length of the modulus.
        state: a jurisdiction's state folder.
        told: called with a line of progress for people.

    Raises:
        JobFailed: a ceremony ended without a key.
        Unavailable: it took longer than half an hour.
    """
    with ThreadPoolExecutor(len(circles)) as pool:
        list(pool.map(lambda holders: _one(sorted(holders), bits, state, told), circles))


def _one(holders: Sequence[str], bits: int, state: Callable[[str], Path], told: Callable[[str], None]) -> None:
    began = time.monotonic()
    proposer, *others = holders
    wanted = {"holders": list(holders), "bits": bits, "lasting_s": LONGEST_S}
    ceremony = str(control.ask(state(proposer), "key_propose", wanted, wait_s=30)["ceremony"])
    for name in others:
        _awaited(state(name), ceremony, began, lambda seen: seen is not None)
        control.ask(state(name), "key_approve", {"ceremony": ceremony}, wait_s=30)
    said_s = began
    for name in holders:

        def is_made(seen: Mapping[str, Any] | None, name: str = name) -> bool:
            nonlocal said_s
            if seen is None or seen["state"] == "failed":
                raise JobFailed(f"{name} has no joint key: {seen['why'] if seen else 'it forgot the ceremony'}")
            if time.monotonic() - said_s > NEWS_S:
                said_s = time.monotonic()
                told(f"key of {', '.join(holders)}: {seen['tries']} tries so far, {seen['mean_tries']} are the mean")
            return bool(seen["state"] == "made")

        found = _awaited(state(name), ceremony, began, is_made)
    told(
        f"key of {', '.join(holders)}: {bits} bits after {found['tries']} tries, {time.monotonic() - began:.0f} s; "
        "each has its share, nobody has the key"
    )


def _awaited(
    folder: Path, ceremony: str, began: float, enough: Callable[[Mapping[str, Any] | None], bool]
) -> Mapping[str, Any]:
    """Return how a daemon tells of a ceremony, once that is `enough`."""
    while time.monotonic() - began < LONGEST_S:
        told: Any = control.ask(folder, "keys", wait_s=30)["ceremonies"]
        seen = next((one for one in told if one["ceremony"] == ceremony), None)
        if enough(seen):
            return seen or {}
        time.sleep(POLL_S)
    raise Unavailable(f"the ceremony takes longer than {LONGEST_S:.0f} s", hint="a shorter key is quicker")

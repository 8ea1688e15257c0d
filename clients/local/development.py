"""A joint key for parties of one process: made by a dealer, and labelled so wherever it shows.

Whoever deals a key could read everything that is ever sent under it. In one process that is whoever started it, who has
the rows of all parties anyway; a daemon refuses such a key.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from federation.crypto.paillier.threshold import JointKey, KeyShare, dealt
from federation.domain.job import digest
from federation.wire import messages as m
from federation.wire.certificates import EPOCH_MS
from federation.wire.envelope import Signer, signed


@lru_cache(maxsize=8)  # a key takes as long as many sums; the next federation of the same parties takes the same one
def development_key(bits: int, holders: tuple[str, ...]) -> tuple[JointKey, Mapping[str, KeyShare]]:
    """Return a key of `bits` bits that lives as long as the process, and the shares of its holders."""
    joint, shares = dealt(bits, holders, secrets.token_bytes(32))
    return joint, MappingProxyType(shares)


def certificate(joint: JointKey, holders: Mapping[str, Signer], made_ms: int) -> list[m.Signed]:
    """Return the key's certificate as all its holders sign it."""
    value = m.KeyCertificate(
        joint_key=joint.to_bytes(),
        transcript=digest("federation/development-key/v1", joint.digest),  # there was no ceremony
        made_ms=made_ms,
        expires_ms=made_ms + EPOCH_MS,
    )
    return [signed(signer, m.KEY_CERTIFICATE, value) for signer in holders.values()]

"""Every byte of evidence counts: whichever is changed, the audit says that something does not hold.

A file archive would fail here (times, extra fields, a directory that nobody signs): crypto-review finding 17.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from random import Random

import pytest

from clients.local.federation import COORDINATOR
from clients.researcher.audit import audited
from clients.researcher.findings import Standing
from federation.crypto import signing
from federation.errors import FederationError
from federation.wire import evidence as kept
from tests.researcher.evidences import Story, bereft, small, tried_again


@pytest.fixture(autouse=True)
def verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature is judged by a pure function of its bytes: what was judged before is remembered."""
    monkeypatch.setattr(signing, "verify", lru_cache(maxsize=None)(signing.verify))


def flipped(content: bytes, places: Iterator[int] | range, draw: Random) -> Iterator[tuple[int, bytes]]:
    for place in places:
        other = content[place] ^ draw.randrange(1, 256)
        yield place, content[:place] + bytes([other]) + content[place + 1 :]


def endings(story: Story, places: Iterator[int] | range, seed: int) -> Counter[str]:
    """At which step each changed file is refused; all of them are."""
    found: Counter[str] = Counter()
    for place, content in flipped(story.content, places, Random(seed)):
        report = audited(content, story.roster, job_hash=story.job_hash)
        assert report.broken is not None, f"byte {place} can be changed"
        assert not report.figures
        assert report.broken.by
        found[report.broken.step] += 1
    return found


@pytest.mark.timeout(300)
def test_every_byte_of_a_small_file_is_missed_when_it_is_changed() -> None:
    story = small()
    found = endings(story, range(len(story.content)), 1)
    assert found.total() == len(story.content) > 4_000
    steps = {line.step for line in story.audited().lines if line.standing is Standing.PROVEN}
    without_bytes = {"round 0: setup", "transcript", "figures"}  # they follow from the others; attempt 0 is not written
    assert found.keys() >= steps - without_bytes


@pytest.mark.parametrize("story", [bereft, tried_again])
@pytest.mark.timeout(300)
def test_changed_bytes_of_sums_with_lost_parties_and_withdrawn_attempts_are_missed(story: object) -> None:
    told: Story = story()  # type: ignore[operator]
    draw = Random(2)
    places = iter(draw.sample(range(len(told.content)), 2_000))
    found = endings(told, places, 3)
    assert found.total() == 2_000
    assert len(found) >= 9, found


def test_bits_of_signatures_and_of_key_ids_are_bytes_too() -> None:
    """All eight bits of every byte of the last message, which nothing follows."""
    story = small()
    start = story.content.rfind(b"federation/ended/v1") - 140
    for place in range(start, len(story.content)):
        for bit in range(8):
            content = bytearray(story.content)
            content[place] ^= 1 << bit
            assert audited(bytes(content), story.roster).broken is not None, (place, bit)


def test_a_file_that_is_cut_anywhere_is_refused_as_cut_or_malformed() -> None:
    story = small()
    for size in range(len(story.content)):
        broken = audited(story.content[:size], story.roster).broken
        assert broken is not None
        assert (broken.step, broken.by) == ("file", (COORDINATOR,))


def test_a_file_with_anything_behind_it_is_refused() -> None:
    story, other = small(), tried_again()
    for tail in (b"\x00", b"\n", bytes(4), story.content, other.content, story.content[len(kept.MAGIC) :]):
        broken = audited(story.content + tail, story.roster).broken
        assert broken is not None
        assert broken.step == "file"


def test_the_planted_fault_of_an_audit_without_signatures_misses_many_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    story = small()
    monkeypatch.setattr(signing, "verify", lambda *_: True)
    missed = 0
    for _, content in flipped(story.content, range(0, len(story.content), 7), Random(4)):
        with suppress(FederationError):
            missed += audited(content, story.roster).broken is None
    assert missed > 100

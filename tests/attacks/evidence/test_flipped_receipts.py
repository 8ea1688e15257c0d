"""Every byte of a receipt and of its bundle counts, also under a joint key: whichever is changed, something is broken.

The key has 512 bits, to be quick; no byte means more or less under a longer one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from random import Random

import pytest

from clients.researcher.audit import audited
from clients.researcher.receipt import Receipt, job_in
from federation.crypto import signing
from federation.errors import FederationError, Misuse
from tests.researcher.evidences import Story, bereft, keyed, keyed_walked, small

SEED = 20261123


@pytest.fixture(autouse=True)
def verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature is judged by a pure function of its bytes: what was judged before is remembered."""
    monkeypatch.setattr(signing, "verify", lru_cache(maxsize=None)(signing.verify))


def receipt_of(story: Story) -> bytes:
    assert story.receipt is not None
    return story.receipt.to_bytes()


def verified(story: Story, receipt: bytes, bundle: bytes) -> str:
    """What `federation verify RECEIPT --bundle FILE` comes to: "" if everything holds, else the step that is broken."""
    try:
        job_hash = job_in(receipt)
    except Misuse:
        return "receipt"
    report = audited(bundle, story.roster, job_hash=job_hash, receipt=receipt)
    if report.broken is None:
        return ""
    assert report.broken.by
    assert not report.figures or report.broken.step == "receipt"
    return report.broken.step


def flipped(content: bytes, places: list[int], draw: Random) -> Iterator[bytes]:
    for place in places:
        yield content[:place] + bytes([content[place] ^ draw.randrange(1, 256)]) + content[place + 1 :]


@pytest.mark.parametrize("made", [small, bereft, keyed, keyed_walked])
def test_an_honest_receipt_follows_from_its_bundle(made: Callable[[], Story]) -> None:
    assert verified(made(), receipt_of(made()), made().content) == ""


@pytest.mark.timeout(300)
def test_not_one_of_a_thousand_changed_bytes_of_receipt_and_bundle_is_taken() -> None:
    story, draw = keyed(), Random(SEED)
    receipt, bundle = receipt_of(story), story.content
    places = draw.sample(range(len(receipt) + len(bundle)), 1_000)
    assert len(set(places)) == 1_000
    in_receipt = [place for place in places if place < len(receipt)]
    in_bundle = [place - len(receipt) for place in places if place >= len(receipt)]
    found: Counter[str] = Counter()
    for other in flipped(receipt, in_receipt, draw):
        found[verified(story, other, bundle)] += 1
    for other in flipped(bundle, in_bundle, draw):
        found[verified(story, receipt, other)] += 1
    assert found.total() == 1_000
    assert not found[""], "a byte can be changed"
    assert found.keys() >= {"receipt", "file", "key", "publications", "verdicts", "attestations"}
    assert found.keys() >= {f"round 0: {step}" for step in ("readies", "ciphertexts", "answers")}


@pytest.mark.timeout(300)
def test_every_byte_of_a_receipt_is_missed_when_it_is_changed() -> None:
    story, draw = small(), Random(SEED)
    content = receipt_of(story)
    found = Counter(verified(story, other, story.content) for other in flipped(content, [*range(len(content))], draw))
    assert found.total() == len(content)
    assert found.keys() <= {"receipt", "job"}, found
    for other in (content + b"\n", content + b"\x00", content[:-1], content.rstrip(), b" " + content):
        assert verified(story, other, story.content) == "receipt", "trailing and lacking bytes"


def test_anything_behind_the_bundle_is_refused() -> None:
    story = keyed()
    for tail in (b"\x00", b"\n", story.content, receipt_of(story)):
        assert verified(story, receipt_of(story), story.content + tail) == "file"


def test_the_receipt_of_another_job_does_not_follow() -> None:
    story, other = keyed(), keyed_walked()
    assert verified(story, receipt_of(other), story.content) == "job"


def test_the_planted_fault_of_a_receipt_that_is_compared_by_its_meaning_misses_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """JSON has many spellings: whoever compares values and not bytes takes a changed blank for nothing."""
    story = keyed()
    content = receipt_of(story)
    spaced = content.replace(b",\n", b", ")
    assert verified(story, spaced, story.content) == "receipt"

    class Loose(bytes):
        def __ne__(self, other: object) -> bool:
            return isinstance(other, bytes) and self.split() != other.replace(b", ", b",\n").split()

        __hash__ = bytes.__hash__

    honest = Receipt.to_bytes
    monkeypatch.setattr(Receipt, "to_bytes", lambda self: Loose(honest(self)))
    assert verified(story, spaced, story.content) == ""


def test_the_planted_fault_of_an_audit_without_signatures_misses_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    story, draw = keyed(), Random(SEED)
    monkeypatch.setattr(signing, "verify", lambda *_: True)
    missed = 0
    for other in flipped(story.content, draw.sample(range(len(story.content)), 300), draw):
        with suppress(FederationError):
            missed += not verified(story, receipt_of(story), other)
    assert missed > 20

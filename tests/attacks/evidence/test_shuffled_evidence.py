"""Evidence put together at random from honest messages: it holds only where nothing is missing that anybody needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from random import Random
from typing import Any

import pytest

from federation.errors import Refused
from federation.wire.convert import Malformed
from federation.wire.evidence import Contribution, Evidence, OpenedSum, decoded, encoded
from tests.researcher.evidences import STORIES, Story

DRAWS = 400


def shuffled(evidence: Evidence, draw: Random) -> tuple[str, Evidence]:
    """The evidence with one group changed: something lost, doubled, exchanged, or from another place of the job."""
    if evidence.sums and draw.random() < 0.7:
        index = draw.randrange(len(evidence.sums))
        of = evidence.sums[index]
        other = draw.choice(evidence.sums)
        name = draw.choice([one.name for one in fields(OpenedSum)])
        value = changed(getattr(of, name), getattr(other, name), draw)
        sums = list(evidence.sums)
        sums[index] = replace(of, **{name: value})
        return name, replace(evidence, sums=tuple(sums))
    name = draw.choice(["publications", "verdicts", "attestations", "objections", "sums", "ended", "job"])
    other_name = name if name == "sums" else draw.choice(["verdicts", name])
    value = changed(getattr(evidence, name), getattr(evidence, other_name), draw)
    return name, replace(evidence, **{name: value})


def changed(value: Any, other: Any, draw: Random) -> Any:
    """Something else of the same type."""
    match value:
        case int():
            return draw.choice((0, 1, 2, value + 1))
        case tuple():
            return tuple(items(value, other if isinstance(other, tuple) else (), draw))
        case _ if isinstance(other, type(value)):
            return other
        case _:
            return value


def items(value: Sequence[Any], other: Sequence[Any], draw: Random) -> list[Any]:
    new = list(value)
    match draw.randrange(6):
        case 0 if new:
            del new[draw.randrange(len(new))]
        case 1:
            new.clear()
        case 2 if new:
            new.append(draw.choice(new))
        case 3 if other:
            new.append(draw.choice(other))
        case 4 if new and other:
            new[draw.randrange(len(new))] = draw.choice(other)
        case _ if len(new) > 1 and isinstance(new[0], Contribution):
            first, second = draw.sample(range(len(new)), 2)
            new[first] = replace(new[first], chunks=new[second].chunks)
    return new


def harmless(story: Story, evidence: Evidence) -> bool:
    """Whether nothing is gone but consents and attestations above what is due: nobody promised to keep those."""
    honest = story.evidence
    lesser = [replace(of, consents=mine.consents) for of, mine in zip(evidence.sums, honest.sums, strict=False)]
    same = replace(evidence, attestations=honest.attestations, sums=tuple(lesser))
    return encoded(same) == encoded(honest)


@pytest.mark.parametrize("name", STORIES)
def test_evidence_that_lost_or_exchanged_anything_that_is_needed_never_holds(name: str) -> None:
    story = STORIES[name]()
    draw, endings = Random(name), Counter[str]()
    for _ in range(DRAWS if name != "large" else DRAWS // 10):
        where, evidence = shuffled(story.evidence, draw)
        try:
            decoded(encoded(evidence))
        except Malformed:
            endings["malformed"] += 1
            continue
        try:
            report = story.audited(evidence)
        except Refused:
            endings["refused"] += 1
            continue
        if report.broken is None:
            assert harmless(story, evidence), where
            endings["harmless"] += 1
        else:
            endings["broken"] += 1
    assert endings["broken"] >= endings.total() // 4, endings
    assert endings["malformed"], endings
    assert endings["harmless"], endings

"""Vectors that do not fit a message travel on chunk streams, both ways, and the sums stay exact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.cli.stage import Stage
from federation.protocols.masked_sum.messages import Head
from federation.wire import bulk, messages
from federation.wire.log import frames_in

pytestmark = pytest.mark.slow

PARTIES = ("guangdong", "hongkong", "macao")
CATEGORIES = [f"c{i:04d}" for i in range(9000)]
COLUMNS = ("a", "b", "c", "d")


def written(folder: Path) -> dict[str, str]:
    tables = {}
    for index, party in enumerate(PARTIES):
        source = folder / f"{party}.csv"
        rows = [f"{(i + index) % 10},{i % 7},{i % 5},{index},{code}" for i, code in enumerate(CATEGORIES)]
        source.write_text("\n".join([",".join([*COLUMNS, "code"]), *rows]) + "\n")
        columns = "".join(f'{name} = {{ kind = "integer", low = 0, high = 9 }}\n' for name in COLUMNS)
        tables[party] = (
            f'[[dataset]]\nname = "wide"\nsource = "{source}"\nk = 1\npublish_own_figures = true\n[dataset.columns]\n'
            f'{columns}code = {{ kind = "category", categories = {json.dumps(CATEGORIES)} }}\n'
        )
    return tables


def test_vectors_over_the_message_limit_are_summed_exactly(tmp_path: Path) -> None:
    with Stage(tmp_path / "stage", written(tmp_path), wire_log=True) as stage, stage.session() as session:
        table = session.table("wide")
        found = session.run([table.ask.sum(name, by="code") for name in COLUMNS], data=table)
        for name, result in zip(COLUMNS, found, strict=True):
            for i in (0, 1, 17, 8999):
                expected = {
                    "a": sum((i + index) % 10 for index in range(3)),
                    "b": 3 * (i % 7),
                    "c": 3 * (i % 5),
                    "d": 3,
                }
                assert result[CATEGORIES[i]].value == expected[name]
        frames = list(frames_in(tmp_path / "stage" / "wire" / "coordinator.log"))
    streamed = [frame.signed.domain for *_, frame in frames if not bulk.is_inline(frame.parts)]
    assert sorted(streamed) == sorted([Head.domain] * 3 + [messages.BUNDLE] * 3)  # every vector in, all of them out

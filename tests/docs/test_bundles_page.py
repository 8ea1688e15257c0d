"""The bundle of docs/bundles.md is one: it packs as it is printed, and trains in the sandbox."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.cli import bundle as verb
from clients.cli.main import VERBS
from clients.jurisdiction import bundle_file, worker
from clients.jurisdiction.confined import Confined
from clients.jurisdiction.sandbox import Limits
from federation.training import plan
from federation.training.strategy import Public
from tests.attacks.models import authors
from tests.docs.pages import blocks

MISSING = authors.has_sandbox()


def folder(repository: Path, place: Path) -> Path:
    found = list(blocks(repository / "docs/bundles.md"))
    source = next(block.text for block in found if block.kind == "python")
    config = next(block.text for block in found if block.kind == "toml")
    return authors.written(place, source, config)


def test_the_page_prints_a_bundle(repository: Path, tmp_path: Path) -> None:
    found = bundle_file.packed(folder(repository, tmp_path / "residual"))
    assert found.manifest.layout.size == 23
    assert plan.chosen(authors.course(found), authors.OWN).layout == found.manifest.layout


def test_the_page_names_the_limits_and_verbs_that_there_are(repository: Path) -> None:
    text = (repository / "docs/bundles.md").read_text("utf-8")
    limits = Limits()
    said = (limits.scratch_bytes >> 20, limits.memory_bytes >> 30, worker.FILES, limits.cpu_s // 3600)
    assert said == (64, 4, 64, 4)
    assert limits.wall_s == 600
    for words in ("64 MiB of files", "4 GiB of memory", "64 open files", "4 h of it", "10 min for one answer"):
        assert words in text
    assert "bundle" in VERBS
    for command in verb.app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        assert f"federation bundle {name}" in text


@pytest.mark.skipif(bool(MISSING), reason=f"NOT RUN: the page's bundle in its sandbox; {MISSING}")
def test_the_pages_bundle_learns_in_the_sandbox(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    house = authors.house(tmp_path / "state")
    found = house.signed(bundle_file.packed(folder(repository, tmp_path / "residual")))
    house.bundles.approve(found)
    asked = authors.course(found)
    chosen = plan.chosen(asked, authors.OWN)
    work = authors.work()
    public = Public(model=chosen.layout.initial(bytes(32)))
    confined = Confined(house.bundles, chosen, asked, "hk", Limits(wall_s=60))
    try:
        update = confined.update(replace(work, layout=chosen.layout, public=public), authors.rows(20))
    finally:
        confined.close()
    assert update.vector.size == 23
    assert np.count_nonzero(update.vector) > 15

"""A bundle trains over all parties as a model of ours does, and a party that did not approve it says so by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import federation as fed
from clients.jurisdiction import bundle_file, confined
from clients.jurisdiction.bundle_file import Bundle
from clients.jurisdiction.bundles import Bundles
from clients.jurisdiction.run import Desk
from clients.local import federation as local
from federation.domain.roster import Roster
from federation.errors import Refused
from federation.identity.keys import Credentials
from tests.attacks.models import authors

pytest.importorskip("torch")

PARTIES = ("gd", "hk", "macao")


@pytest.fixture
def packed(tmp_path: Path) -> Bundle:
    return bundle_file.packed(authors.written(tmp_path / "net", authors.HONEST))


@pytest.fixture
def approving(packed: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Who approves; every party's desk gets the folder in which it did."""
    made: dict[str, Credentials] = {}
    make, desk_of = local.keys.made, local.desk_of
    approve = set(PARTIES)

    def remembered(name: str, role: object) -> Credentials:
        made[name] = make(name, role)  # type: ignore[arg-type]
        return made[name]

    def desk(me: Credentials, roster: Roster, *more: object) -> Desk:
        state = tmp_path / me.name
        state.mkdir(exist_ok=True)
        bundles = Bundles(state, me, roster)
        found = bundle_file.signed(bundle_file.signed(packed, made["gd"], roster), made["macao"], roster)
        if me.name in approve:
            bundles.approve(found)
        return replace(desk_of(me, roster, *more), bundles=bundles)  # type: ignore[arg-type]

    monkeypatch.setattr(local.keys, "made", remembered)
    monkeypatch.setattr(local, "desk_of", desk)
    return approve


def frames() -> dict[str, pd.DataFrame]:
    random, found = np.random.default_rng(3), {}
    for party in PARTIES:
        frame = pd.DataFrame({"age": random.integers(0, 101, 120), "pay": random.normal(0, 100, 120).round(2)})
        frame["sex"] = ["f", "m"] * 60
        frame["ill"] = (frame["age"] + random.normal(0, 20, 120) > 50).astype(int)
        frame.loc[:1, "ill"] = [0, 1]
        found[party] = frame
    return found


@pytest.mark.skipif(bool(authors.has_sandbox()), reason=f"NOT RUN: a bundle over all parties; {authors.has_sandbox()}")
def test_a_bundle_trains_over_all_parties_to_the_model_that_ours_trains_to(packed: Bundle, approving: set[str]) -> None:
    session = fed.local(frames())
    asked = {"target": "ill", "features": ("age", "pay", "sex"), "strategy": fed.FedAvg(rounds=3)}
    ours = session.train(model="linear", data=session.table("data"), **asked).result()
    theirs = session.train(
        model=packed.manifest.model, config=dict(packed.manifest.config), data=session.table("data"), **asked
    ).result()
    assert theirs.model.tobytes() == ours.model.tobytes()
    assert theirs.figures == ours.figures


def test_a_party_that_did_not_approve_refuses_and_no_round_begins(
    packed: Bundle, approving: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    approving.discard("hk")
    monkeypatch.setattr(confined, "Sandbox", lambda *_: None)  # no code runs; without one the others refuse as well
    session = fed.local(frames())
    with pytest.raises(Refused, match="hk has not approved") as refusal:
        session.train(
            model=packed.manifest.model,
            config=dict(packed.manifest.config),
            data=session.table("data"),
            target="ill",
            features=("age", "pay", "sex"),
        ).result()
    assert (refusal.value.rule, refusal.value.party) == ("bundle", "hk")

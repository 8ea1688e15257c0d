"""Bundles for tests: an honest one, whose tensors are those of `linear`, and the means to write a hostile one.

A hostile source runs when the worker imports it. With `say` it answers in the worker's place, in the worker's own
format, and then waits: so it tells what it could do without torch being imported. `lying` is a worker that is hostile
from its first byte on; it needs no sandbox, for what is tried is the daemon that reads it.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from clients.jurisdiction import bundle_file, sandbox
from clients.jurisdiction.bundle_file import Bundle
from clients.jurisdiction.bundles import Bundles
from clients.jurisdiction.confined import Confined
from clients.jurisdiction.sandbox import Limits
from federation.domain.catalogue import Column, Dataset, Kind
from federation.domain.roster import Role, Roster
from federation.errors import Refused
from federation.identity import keys, roster_file
from federation.identity.keys import Credentials
from federation.training import plan
from federation.training.plan import TrainingPlan
from federation.training.strategy import Public, Rows, Work

OWN = Dataset(
    name="data",
    title="",
    unit="person",
    k=10,
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=0, high=100),
        Column(name="pay", kind=Kind.REAL, low=-1e4, high=1e4),
        Column(name="sex", kind=Kind.CATEGORY, categories=("f", "m")),
        Column(name="ill", kind=Kind.INTEGER, low=0, high=1),
    ),
)
CONFIG = """\
name = "one-layer"
version = 1

[inputs]
numbers = 2
levels = [2]
task = "binary"

[config]
bias = true
scale = 1.0
order = [0, 1]

[[tensor]]
name = "output.weight"
shape = [1, 4]
part = "weight"
fan_in = 4

[[tensor]]
name = "output.bias"
shape = [1]
part = "bias"
fan_in = 4
"""
HONEST = """\
import torch
from torch import nn
from torch.nn import functional


class OneLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.output = nn.Linear(4, 1, bias=config["bias"])

    def forward(self, numbers, codes):
        return self.output(torch.cat((numbers, functional.one_hot(codes[:, 0], 2).float()), dim=1))


def module(config, inputs):
    return OneLayer(config)
"""
SAYING = """\
import array, fcntl, os, struct, time


def handle():
    for found in range(1, 64):
        try:
            if fcntl.fcntl(found, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
                return found
        except OSError:
            pass


def write(piece):
    while piece:
        piece = piece[os.write(handle(), piece):]


def frame(vectors, kind="f"):
    laid = [array.array(kind, one).tobytes() for one in vectors]
    body = struct.pack(">I", len(laid)) + b"".join(struct.pack(">Q", len(one)) + one for one in laid)
    return struct.pack(">4sBQ", b"FBW1", 0, len(body)) + body


def say(*vectors, kind="f"):
    write(frame(vectors, kind))
    time.sleep(600)


"""
ASKED = """\
import json, sys


def asked():
    head = json.loads(exactly(struct.unpack(">4sBI", exactly(9))[2]))
    for _ in head["arrays"]:
        exactly(struct.unpack(">Q", exactly(8))[0])


def exactly(size):
    return sys.stdin.buffer.read(size)


asked()
write(frame([]))
asked()
"""
ENTRIES = 5  # of the model


def has_sandbox() -> str:
    """Return why code cannot be confined on this machine, "" where it can."""
    try:
        sandbox._probed(sandbox._bubblewrap(), Path("/nowhere"))
    except Refused as fault:
        return fault.message
    return ""


@dataclass(frozen=True)
class House:
    """A federation of three jurisdictions, the state folder of the first, and its approved bundles."""

    roster: Roster
    members: dict[str, Credentials]
    state: Path

    @property
    def me(self) -> Credentials:
        return self.members["hk"]

    @property
    def bundles(self) -> Bundles:
        return Bundles(self.state, self.me, self.roster)

    def signed(self, found: Bundle, *names: str) -> Bundle:
        for name in names or ("gd", "hk"):
            found = bundle_file.signed(found, self.members[name], self.roster)
        return found

    def approved(self, source: str, folder: Path, config: str = CONFIG) -> Bundle:
        """Pack a source, let two sign it and the first approve it."""
        found = self.signed(bundle_file.packed(written(folder, source, config)))
        self.bundles.approve(found)
        return found

    def after(self, *names: str) -> House:
        """The same with a next roster that lacks these members; everybody has signed it."""
        members = [member for member in self.roster.members if member.name not in names]
        added = keys.made("new", Role.JURISDICTION)
        roster = roster_file.convened("gba", [*members, added.member], after=self.roster)
        for one in [*self.members.values(), added]:
            if one.name not in names:
                roster = roster_file.signed(roster, one)
        return replace(self, roster=roster_file.in_force(roster))


def house(state: Path) -> House:
    state.mkdir(mode=0o700)
    names = {"coordinator": Role.COORDINATOR, "ana": Role.RESEARCHER}
    made = {name: keys.made(name, names.get(name, Role.JURISDICTION)) for name in (*names, "gd", "hk", "macao")}
    roster = roster_file.convened("gba", [one.member for one in made.values()])
    for one in made.values():
        roster = roster_file.signed(roster, one)
    return House(roster=roster_file.in_force(roster), members=made, state=state)


def lying(of: House, lie: str, monkeypatch: pytest.MonkeyPatch, wall_s: float = 60.0, **options: object) -> Confined:
    """Return confined code that answers its job as it should, and the first thing that it is asked with `lie`."""
    found = of.approved(HONEST, of.state.parent / "bundle")
    monkeypatch.setattr(sandbox, "_probed", lambda bubblewrap, hidden: bubblewrap)
    monkeypatch.setattr(sandbox, "_bubblewrap", lambda: Path("/nowhere"))
    made = confined(of, found, Limits(wall_s=wall_s), **options)

    def started(*_: object) -> subprocess.Popen[bytes]:
        script = [sys.executable, "-I", "-S", "-c", SAYING + ASKED + lie]
        return subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    monkeypatch.setattr(sandbox, "_started", started)
    return made


def written(folder: Path, source: str, config: str = CONFIG) -> Path:
    folder.mkdir()
    (folder / "model.py").write_text(source)
    (folder / "bundle.toml").write_text(config)
    return folder


def course(found: Bundle, **options: object) -> TrainingPlan:
    return TrainingPlan(
        target="ill",
        features=("age", "pay", "sex"),
        model=found.manifest.model,
        config=found.manifest.config,
        options=tuple(sorted(options.items())),  # type: ignore[arg-type]
    )


def confined(of: House, found: Bundle, limits: Limits | None = None, **options: object) -> Confined:
    asked = course(found, **options)
    return Confined(of.bundles, plan.chosen(asked, OWN), asked, "hk", limits or Limits(wall_s=60))


def work(n: int = 40, round_index: int = 0) -> Work:
    layout = plan.chosen(TrainingPlan(target="ill", features=("age", "pay", "sex")), OWN).layout
    inputs = plan.inputs(TrainingPlan(target="ill", features=("age", "pay", "sex")), OWN)
    public = Public(model=layout.initial(bytes(32)))
    return Work(
        module=None,
        layout=layout,
        inputs=inputs,
        rows=rows(n),
        public=public,
        round_index=round_index,
        seed=bytes(range(32)),
    )


def rows(n: int = 40) -> Rows:
    random = np.random.default_rng(n)
    return Rows(
        numbers=random.normal(size=(n, 2)).astype(np.float32),
        codes=random.integers(0, 2, (n, 1)),
        target=random.integers(0, 2, n).astype(np.float32),
    )

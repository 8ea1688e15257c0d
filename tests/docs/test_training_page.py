"""The page about training runs as one session, its strategy is the printed file, and its tables are what is there."""

from __future__ import annotations

import io
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from clients.cli.main import main
from clients.local.federation import LocalTransport
from clients.researcher import evidence, session
from clients.researcher.session import Session
from federation import registry
from federation.errors import JobFailed
from federation.policy.rule import Settings
from federation.training import strategies
from federation.training.model import Model
from federation.training.plan import MODELS, STRATEGIES, TrainingPlan
from federation.training.strategy import Schedule, Strategy

sys.path.insert(0, str(Path(__file__).parent))
from pages import Block, Player, blocks, missing, typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PAGE = "docs/training.md"
NEW = "federation.training.strategies.shortstep"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A researcher's folder, and a place where the page's strategy may lie among the others."""
    (tmp_path / "strategies").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FEDERATION_HOME", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(strategies, "__path__", [*strategies.__path__, str(tmp_path / "strategies")])
    yield tmp_path
    sys.modules.pop(NEW, None)
    vars(strategies).pop("shortstep", None)


def command_line(player: Player, block: Block, transport: LocalTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """Type the commands of a block in this process, against the federation of the page."""
    (player.folder / "profiles.toml").write_text('[here]\ncoordinator = "127.0.0.1:9"\nkeys = "k"\nroster = "r"\n')
    monkeypatch.setattr(session, "connect", lambda *_, **__: Session(transport))
    monkeypatch.setattr(transport, "close", lambda: None)
    monkeypatch.setattr(evidence.keys, "load", lambda _: transport._me)
    monkeypatch.setattr(evidence.keys, "check_joined", lambda *_: None)
    monkeypatch.setattr(evidence.roster_file, "load", lambda _: transport.roster)
    monkeypatch.setattr(evidence, "RemoteTransport", lambda *_: transport)
    for each in typed(block.text):
        with redirect_stdout(io.StringIO()) as said, redirect_stderr(said):
            code = main(shlex.split(each.command)[1:])
        assert code == 0, f"{each.command}\n{said.getvalue()}"
        absent = missing(each.expected, said.getvalue())
        assert not absent, f"the page shows {absent}, but {each.command} says\n{said.getvalue()}"
        player.played.append(each.command)


def test_the_page_runs_as_written(repository: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    player = Player(home)
    (strategy,) = [block for block in blocks(repository / PAGE) if block.word.startswith("federation/")]
    assert strategy.word == f"{NEW.replace('.', '/')}.py"
    (home / "strategies/shortstep.py").write_text(strategy.text, "utf-8")  # first: a running process scans once
    for block in blocks(repository / PAGE):
        if block.word == "cli":
            here = player.names["gba"]
            assert isinstance(here, Session)
            assert isinstance(here._transport, LocalTransport)
            command_line(player, block, here._transport, monkeypatch)
        elif block.kind not in ("heading", "sentence") and not block.word:
            player.play(block, {})
    assert len(player.played) >= 9
    assert (home / "ill.png").stat().st_size > 5_000
    assert (home / "ill.safetensors").stat().st_size > 4 * 385


# --- the tables -----------------------------------------------------------------------------------------------------


def table(repository: Path, heading: str, index: int = 0) -> list[list[str]]:
    """Return the rows of a table below a heading, cells without what surrounds them."""
    text = (repository / PAGE).read_text("utf-8").split(f"\n{heading}\n")[1].split("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in tables[index].splitlines()[2:]]


def named(cell: str) -> dict[str, str]:
    """Return {name: default as it is written, "" for none} of a cell."""
    return dict(re.findall(r"`(\w+)`(?: = ([^,`]+(?:, \d+\))?))?", cell))


def own(kind: type[object]) -> dict[str, object]:
    """Return the parameters of a strategy that others do not have, or have with another default."""
    usual = {field.name: field.default for field in fields(Schedule)}
    found = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    return {name: value for name, value in found.items() if usual.get(name, MISSING) != value}


def test_every_strategy_stands_in_the_table_with_its_parameters_and_a_source(repository: Path) -> None:
    rows = table(repository, "## Strategies")
    known = registry.discover(STRATEGIES, Strategy)
    assert {row[0] for row in rows} == {f"`{member.__name__}`, `{name}`" for name, member in known.items()}
    for first, parameters, source in rows:
        member = known[first.split("`")[3]]
        written = {name: float(value) for name, value in named(parameters).items()}
        assert written == own(member.Parameters), first
        author = source.split()[0]
        assert author == "the" or author in (sys.modules[member.__module__].__doc__ or ""), first


def test_every_model_and_every_option_stands_in_its_table(repository: Path) -> None:
    models = table(repository, "## Models and options", 0)
    known = registry.discover(MODELS, Model)
    assert {row[0].strip("`") for row in models} == set(known)
    for name, _, config in (row for row in models if row[2].strip(" |") and "as `" not in row[2]):
        assert set(named(config)) == {field.name for field in fields(known[name.strip("`")].Config)}
    options = {name for row in table(repository, "## Models and options", 1) for name in named(row[0])}
    plain = {field.name for field in fields(TrainingPlan)}
    assert options | {"target", "model", "strategy", "config", "options", "task"} == plain
    shared = {name for row in table(repository, "## Models and options", 2) for name in named(row[0])}
    assert shared == {field.name for field in fields(Schedule)}


def test_every_clause_about_training_stands_on_the_page_and_among_the_rules(repository: Path) -> None:
    clauses = {"models", "strategies", "most_rounds", "most_parameters", "least_bits", "most_norm"}
    assert clauses <= {field.name for field in fields(Settings)}
    page = (repository / PAGE).read_text("utf-8")
    rules = (repository / "docs/rules.md").read_text("utf-8")
    for clause in clauses:
        assert f"\n{clause} = " in page
        assert f"`{clause}`" in rules


def test_a_strategy_that_is_printed_wrong_is_caught(repository: Path, home: Path) -> None:
    """The planted fault: the printed file gives its merge other arguments."""
    played = [block for block in blocks(repository / PAGE) if block.kind == "python"]
    (strategy,) = [block for block in played if block.word]
    wrong = strategy.text.replace("moved(public.model, mean, parameters", "moved(public.model, parameters")
    assert wrong != strategy.text
    (home / "strategies/shortstep.py").write_text(wrong, "utf-8")
    player = Player(home)
    player.python(played[0].text)
    with pytest.raises(JobFailed, match="failed at this job"):
        player.python(played[-1].text)

"""Runs one story in one process: the same questions and the same protocol, no daemons, no network.

Each party publishes what its configuration file would say, so that ranges, k and clauses are those of its daemon.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from clients.cli.output import Format, failure
from clients.jurisdiction import config
from clients.jurisdiction.engines.duckdb import DuckDB
from clients.local.federation import federation_of
from clients.researcher.session import Session
from federation.errors import FederationError
from federation_examples.comparison import Board
from federation_examples.report import Report, Story

MEMBER = """\
[jurisdiction]
coordinator = "127.0.0.1:0"
keys = "keys"
roster = "roster.json"
state = "state"

"""  # who a daemon is; nobody dials here


def told(story: Story, arguments: Sequence[str] = ()) -> int:
    """Print the story's table, and draw into the folder that `arguments` name.

    Returns:
        0 if every figure agrees with its pooled reference, or an exit code.
    """
    try:
        report = alone(story)
        print(report.text())
        for folder in arguments:
            from federation_examples import boards, pictures

            for drawing in report.drawings:
                draw = boards.png if isinstance(drawing, Board) else pictures.png
                print(draw(drawing, Path(folder)))
    except FederationError as error:
        return failure(error, output=Format.TABLE)
    return 0 if report.agrees else 1


def alone(story: Story) -> Report:
    """Run the story on files in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="federation-example-") as scratch:
        files = story.split(Path(scratch))
        with session(story, files, Path(scratch)) as asked:
            return story.run(asked, files.values())


def session(story: Story, files: Mapping[str, Path], scratch: Path) -> Session:
    """Return a session with one party per file, each with its own description and the clauses of the first.

    Args:
        story: describes the files.
        files: party -> its Parquet file.
        scratch: an existing folder for the configurations.
    """
    published, policy = {}, None
    for party, tables in story.tables(dict(files)).items():
        path = scratch / f"{party}.toml"
        path.write_text(MEMBER + tables, "utf-8")
        read = config.load(path)
        dataset = config.described(read.dataset[0])
        with DuckDB.open(dataset, files[party]) as engine:
            published[party] = replace(dataset, version=engine.version)
        policy = policy or read.settings()
    return Session(federation_of(files, policy=policy, published=published), protection="masks")

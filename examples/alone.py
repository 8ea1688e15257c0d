"""Runs one story in one process, on `fed.local`: the same questions and the same protocol, no daemons, no network."""

from __future__ import annotations

import tempfile
from pathlib import Path

from clients.cli.output import Format, failure
from clients.local.federation import TABLE, local
from federation.errors import FederationError
from federation_examples.report import Report, Story


def told(story: Story) -> int:
    """Print the story's table; return 0 if every figure agrees with its pooled reference, or an exit code."""
    try:
        report = alone(story)
    except FederationError as error:
        return failure(error, output=Format.TABLE)
    print(report.text())
    return 0 if report.agrees else 1


def alone(story: Story) -> Report:
    """Run the story on files in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="federation-example-") as scratch:
        files = story.split(Path(scratch))
        with local(files) as session:
            return story.run(session, files.values(), table=TABLE)

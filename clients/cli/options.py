"""Options that several verbs share, so that they read and behave the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli.output import Format

OutputOption = Annotated[
    Format,
    typer.Option("-o", "--output", help="What stdout carries: a table, one JSON envelope, or one JSON object a line."),
]
ProfileOption = Annotated[
    str,
    typer.Option(
        "-p",
        "--profile",
        envvar="FEDERATION_PROFILE",
        help="Which connection of profiles.toml; may be left out when there is one, or `default` names it.",
    ),
]
ReceiptOption = Annotated[
    Path | None,
    typer.Option("--receipt", metavar="FILE", help="Write the receipt to this file: federation verify FILE checks it."),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model", metavar="FILE.safetensors", help="Of a training: write the best model there, or the last if none is."
    ),
]
ProtectionOption = Annotated[
    str,
    typer.Option(
        "--protection",
        metavar="masks|paillier",
        help="Instead of what the job says; a joint key where these parties have one that fits, and masks elsewhere.",
    ),
]
JobFileArgument = Annotated[Path, typer.Argument(metavar="JOB.toml", help="Purpose, data, and statistics or a model.")]


def application(help_text: str, *, name: str = "") -> typer.Typer:
    """Return an empty verb: no completion commands, tracebacks left to `main`, plain help, also on `-h`."""
    return typer.Typer(
        name=name or None,
        help=help_text,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help: [[statistic]] is TOML and no markup
        context_settings={"help_option_names": ["-h", "--help"]},
    )

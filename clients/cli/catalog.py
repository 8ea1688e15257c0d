"""`federation catalog ls|show`: what is published; never a row."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.options import OutputOption, ProfileOption, application
from clients.cli.output import Format, answer, say

COLUMNS = ("data set", "title", "counted", "columns", "k", "parties")

app = application("What is published: data sets, columns, ranges, rules; never a row.")


@app.command("ls")
def list_datasets(profile: ProfileOption = "", output: OutputOption = Format.TABLE) -> int:
    """List the data sets that jurisdictions publish."""
    from clients.researcher import rendering, session
    from federation.errors import Refused

    tables = []
    with session.connect(profile) as connected:
        for name in connected.datasets():
            try:
                tables.append(connected.table(name))
            except Refused as disagreement:
                say(f"note: {name} cannot be used: {disagreement}")
    rows: list[tuple[rendering.Cell, ...]] = [
        (t.name, t.joint.title, t.unit, len(t.columns), t.k, ", ".join(t.parties)) for t in tables
    ]
    return answer(
        [table.to_dict() for table in tables],
        text=rendering.text(COLUMNS, rows) if rows else "nothing is published",
        shown=lambda: rendering.for_terminal(COLUMNS, rows),
        output=output,
    )


@app.command("show")
def show_dataset(
    dataset: Annotated[str, typer.Argument(help="A data set, as `ls` lists it.")],
    profile: ProfileOption = "",
    output: OutputOption = Format.TABLE,
) -> int:
    """Show a data set: its columns with units, ranges, categories and missing codes, its parties and rules."""
    from clients.researcher import session

    with session.connect(profile) as connected:
        table = connected.table(dataset)
    return answer(table.to_dict(), text=table.summary(), shown=table.for_terminal, output=output)

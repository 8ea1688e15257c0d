"""`federation doctor`: what is wrong between this machine and a joint answer, in the order in which it is mended."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from clients.cli.doctor import checkup
from clients.cli.doctor.checkup import Finding, State
from clients.cli.doctor.examination import Examination, World
from clients.cli.options import OutputOption, ProfileOption, application
from clients.cli.output import Format, Plain, answer, console, event, on_terminal
from clients.researcher.rendering import defused

HELP: Final = """\
Look for what is wrong, in order: configuration, keys, roster, data, state, network, TLS, clock, version.

\b
  federation doctor gd.toml            a jurisdiction's file
  federation doctor coordinator.toml   the coordinator's file
  federation doctor                    a researcher's profile

It changes nothing and asks the coordinator one question. What depends on a failed check is skipped, not blamed.

\b
Exit code, of the gravest failure; warnings do not fail:
  0 all is well   2 configuration or data   3 keys, roster, a state folder that is held
  4 disk, or a port in use   5 connection, identity or clock
"""

app = application("What is wrong between this machine and a joint answer.")
WORLD: Final = World()
MARKS: Final = {State.OK: "ok", State.WARN: "warn", State.FAIL: "FAIL", State.SKIPPED: "-"}
COLOURS: Final = {State.OK: "green", State.WARN: "yellow", State.FAIL: "bold red", State.SKIPPED: "dim"}
MARK_WIDTH, CHECK_WIDTH = 4, 13


@app.command(help=HELP)
def doctor(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE.toml", help="A jurisdiction's or the coordinator's file; else the profile."),
    ] = None,
    profile: ProfileOption = "",
    output: OutputOption = Format.TABLE,
) -> int:
    """Check everything between here and the coordinator, and say what to mend first."""
    findings: list[Finding] = []
    for finding in examined(file, profile):
        findings.append(finding)
        event(_plain(finding), output=output)
        if output is Format.TABLE:
            _show(finding)
    last = checkup.sentence(findings)
    faults = sum(finding.state is State.FAIL for finding in findings)
    data: Plain = {"findings": [_plain(finding) for finding in findings], "to_mend": faults, "sentence": last}
    return answer(data, text=last, output=output, exit_code=checkup.exit_code(findings))


def examined(file: Path | None, profile: str = "") -> Iterator[Finding]:
    """Yield the findings over a file, or a profile where there is none."""
    from clients.cli.doctor import subject

    found = subject.of_profile(profile) if file is None else subject.of_file(file)
    if isinstance(found, Finding):
        yield found
    else:
        yield from Examination(found, WORLD).findings()


def lines(finding: Finding) -> list[str]:
    """Return a finding as plain lines: what was found, and below it the next step."""
    first = f"{MARKS[finding.state]:<{MARK_WIDTH}}  {finding.check:<{CHECK_WIDTH}}  {finding.text}"
    return [first, f"{'':<{MARK_WIDTH + CHECK_WIDTH + 4}}-> {finding.remedy}"] if finding.remedy else [first]


def _show(finding: Finding) -> None:
    if not on_terminal(sys.stdout):
        sys.stdout.write(defused("\n".join(lines(finding))) + "\n")
        sys.stdout.flush()
        return
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 2))  # a column each, so that a long cause does not run under the marks
    row.add_column(width=MARK_WIDTH)
    row.add_column(min_width=CHECK_WIDTH)
    row.add_column(overflow="fold")
    style = COLOURS[finding.state]
    text = Text(defused(finding.text), style="dim" if finding.state is State.SKIPPED else "")
    row.add_row(Text(MARKS[finding.state], style=style), Text(defused(finding.check)), text)
    if finding.remedy:
        row.add_row(Text(), Text(), Text(f"-> {defused(finding.remedy)}", style="cyan"))
    console(sys.stdout).print(row)


def _plain(finding: Finding) -> Plain:
    return {
        "check": finding.check,
        "state": finding.state.value,
        "text": finding.text,
        "remedy": finding.remedy,
        "exit_code": finding.exit_code,
    }

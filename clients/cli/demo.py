"""`federation demo`: the first minute. Real processes on loopback, real data, an answer beside its reference.

Ends every process that it started, unless `--keep` leaves the federation running for you to play with.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.options import OutputOption, application
from clients.cli.output import Format, Plain, answer, say
from clients.cli.progress import Progress
from clients.cli.stage import COORDINATOR, MARK, Stage
from federation.errors import JobFailed, Misuse

if TYPE_CHECKING:
    from rich.console import RenderableType

KEPT = Path("federation-demo")
JOB = """\
purpose = "transport"
data = "flights"
where = "month in [6, 7, 8]"

[[statistic]]
name = "mean"
column = "arr_delay"
by = "carrier"

[[statistic]]
name = "histogram"
column = "dep_delay"
bins = [-60, 0, 15, 60, 180, 1440]
"""

app = application(
    "Three airports, a coordinator and a researcher on this machine: 336,776 real flights, one joint delay,\n"
    "and nothing but masked numbers between the processes.\n\n"
    "  federation demo          runs the story and cleans up after itself\n"
    "  federation demo --keep   leaves it running in ./federation-demo\n"
    "  federation demo --stop   ends what --keep left running"
)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, in --folder.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End what --keep left running in --folder.")] = False,
    folder: Annotated[Path, typer.Option("--folder", help="Where --keep puts its files.")] = KEPT,
    json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
    output: OutputOption = Format.TABLE,
) -> int:
    """Run three jurisdictions on this machine and ask them one joint question."""
    output = Format.JSON if json else output
    if stop:
        return _stopped(folder, output)
    with tempfile.TemporaryDirectory(prefix="federation-demo-") as scratch:
        return _played(folder if keep else Path(scratch) / "demo", keep=keep, output=output)


def _played(folder: Path, *, keep: bool, output: Format) -> int:
    try:
        from federation_examples.flights import data
    except ModuleNotFoundError as missing:
        raise Misuse(
            f"the demo needs {missing.name!r}", hint="install the extra: pip install 'pearl-federation[examples]'"
        ) from None
    began = time.perf_counter()
    say("Three airports want their joint arrival delay; no airport shows its flights.")
    with tempfile.TemporaryDirectory(prefix="federation-flights-") as scratch:
        home = folder.with_name(folder.name + "-data") if keep else Path(scratch)
        files: dict[str, Path] = _timed("the flights of 2013, one file an airport", lambda: data.split(home))
        stage = Stage(folder, data.tables(files), told=lambda line: say(f"  {line}"))
        report = _staged(stage, files, output)
        (folder / "job.toml").write_text(JOB)
        if not keep:
            _timed("every process has ended", stage.stop)
    seconds = time.perf_counter() - began
    text = "\n".join([*_lines(report), "", *_closing(report, seconds), "", *_next(folder, keep=keep)])
    code = answer(
        _plain(report, seconds, str(folder) if keep else ""),
        text=text,
        output=output,
        exit_code=0 if report.agrees else 1,
        shown=lambda: _shown(report, seconds, _next(folder, keep=keep)),
    )
    if not report.agrees:
        raise JobFailed("a joint figure differs from its pooled reference")
    return code


def _staged(stage: Stage, files: Mapping[str, Path], output: Format) -> Any:  # noqa: ANN401 - the examples are apart
    """Start everything and tell the story; what was started ends if the story fails."""
    from federation_examples.flights import story

    try:
        _timed("keys, roster, coordinator and three daemons", stage.__enter__)
        with stage.session() as session, Progress("flights", output=output) as progress:
            session.on_update = progress.show
            return story.run(session, files.values())
    except BaseException:
        stage.stop()
        raise


def _plain(report: Any, seconds: float, folder: str) -> dict[str, Plain]:  # noqa: ANN401
    return {
        "figures": [
            {
                "figure": line.figure,
                "federated": line.federated,
                "pooled": line.pooled,
                "difference": line.difference,
                "agrees": line.agrees,
            }
            for line in report.lines
        ],
        "agrees": report.agrees,
        "k": report.k,
        "parties": list(report.parties),
        "job_seconds": report.seconds,
        "seconds": seconds,
        "receipt": report.receipt,
        "folder": folder,
    }


def _timed(what: str, work: Any) -> Any:  # noqa: ANN401 - whatever the step returns
    began = time.perf_counter()
    found = work()
    say(f"  {what}: {time.perf_counter() - began:.1f} s")
    return found


def _rows(report: Any) -> list[tuple[str, str, str, str]]:  # noqa: ANN401 - the examples are not a package of ours
    return [
        (line.figure, _number(line.federated), _number(line.pooled), _number(line.difference)) for line in report.lines
    ]


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.10f}" if abs(value) >= 1e-4 else f"{value:.1e}"


def _lines(report: Any) -> list[str]:  # noqa: ANN401
    rows = [("figure", "federated", "pooled", "difference"), *_rows(report)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return ["  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, 4))]) for row in rows]


def _closing(report: Any, seconds: float) -> list[str]:  # noqa: ANN401
    return [
        f"k = {report.k}: these are public data, nothing is withheld.",
        f"The joint question took {report.seconds:.2f} s, everything {seconds:.1f} s.",
        report.receipt,
    ]


def _next(folder: Path, *, keep: bool) -> list[str]:
    federation = "federation" if shutil.which("federation") else os.path.relpath(sys.argv[0])  # as it can be typed here
    if keep:
        return [
            "It is still running. Next:",
            f"  FEDERATION_HOME={folder} {federation} catalog show flights",
            f"  FEDERATION_HOME={folder} {federation} run {folder}/job.toml",
            f"  {federation} demo --stop --folder {folder}",
        ]
    return [
        "Next:",
        f"  {federation} demo --keep                 leave it running and ask your own questions",
        f"  {federation} jurisdiction init gd.toml   publish a table of yours",
        f"  {federation} --help                      what else there is",
    ]


def _shown(report: Any, seconds: float, after: list[str]) -> RenderableType:  # noqa: ANN401
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, title=Text("Arrival delay at New York's three airports, 2013"), title_justify="left")
    table.add_column("")
    for name in ("federated", "pooled", "difference"):
        table.add_column(name, justify="right")
    for row in _rows(report):
        table.add_row(*(Text(cell) for cell in row))
    closing = [*_closing(report, seconds), "", *after]
    return Group(table, *(Text(line) for line in closing))


def _stopped(folder: Path, output: Format) -> int:
    from clients.cli import daemons
    from federation.errors import Unreachable

    if not (folder / MARK).exists():
        raise Misuse(f"no demo is in {folder}", hint="federation demo --keep starts one")
    ended: list[Plain] = []
    names = sorted((state.name for state in (folder / "state").iterdir()), key=lambda name: name == COORDINATOR)
    for name in names:
        try:
            daemons.stopped(folder / "state" / name)
        except Unreachable:
            continue
        ended.append(name)
    text = f"ended: {', '.join(map(str, ended))}" if ended else "nothing was running"
    return answer({"ended": ended}, text=text, output=output)

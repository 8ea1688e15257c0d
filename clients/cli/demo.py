"""`federation demo`: the first minute. Real processes on loopback, real data, every answer beside its reference.

One coordinator, six jurisdictions, two stories: a job goes only to those who publish what it asks about. Ends every
process that it started, unless `--keep` leaves the federation running for you to play with.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.interruption import KEYED, MASKED, Interruption
from clients.cli.options import OutputOption, application
from clients.cli.output import Format, Plain, answer, on_terminal, say
from clients.cli.progress import Progress
from clients.cli.stage import COORDINATOR, MARK, Stage
from federation.crypto.paillier.keys import PRODUCTION_BITS
from federation.errors import JobFailed, Misuse

if TYPE_CHECKING:
    from rich.console import RenderableType

    from clients.cli.interruption import Course
    from clients.researcher.session import Session
    from federation.domain.job import Update

KEPT = Path("federation-demo")
PICTURES = Path("federation-demo-pictures")
INTERRUPTED, VICTIM, BYSTANDER = "tuberculosis", "hongkong", "macao"
JOBS_BEFORE = 1  # of that story: which years everybody reported; then the joint one
JOBS = {
    "flights.toml": """\
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
""",
    "tuberculosis.toml": """\
purpose = "health"
data = "tuberculosis"

[[statistic]]
name = "sum"
column = "cases"
by = "year"
""",
}


class Protection(StrEnum):
    """What hides the numbers."""

    MASKS = "masks"
    PAILLIER = "paillier"


app = application(
    "Six jurisdictions, a coordinator and a researcher on this machine, real data, nothing but masked numbers between\n"
    "the processes. New York's airports find their joint delay; mainland China, Hong Kong and Macao their joint rate\n"
    "of tuberculosis. Every figure is shown beside what the pooled rows give. In the middle of one joint sum a daemon\n"
    "is killed and started again, and the sum goes on.\n\n"
    "  federation demo          runs both stories and cleans up after itself\n"
    "  federation demo --keep   leaves it running in ./federation-demo\n"
    "  federation demo --protection paillier   makes two joint keys first, a minute or a few, and sums under them\n"
    "  federation demo --stop   ends what --keep left running"
)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, in --folder.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End what --keep left running in --folder.")] = False,
    folder: Annotated[Path, typer.Option("--folder", help="Where --keep puts its files.")] = KEPT,
    pictures: Annotated[Path, typer.Option("--pictures", help="Where the pictures go.")] = PICTURES,
    protection: Annotated[
        Protection,
        typer.Option("--protection", help="What hides the numbers: masks, or a joint key of each circle's daemons."),
    ] = Protection.MASKS,
    bits: Annotated[int, typer.Option("--bits", help="Length of these keys; below 2048 they protect nobody.")] = 2048,
    json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
    output: OutputOption = Format.TABLE,
) -> int:
    """Run six jurisdictions on this machine, ask two joint questions, and kill a daemon in the middle of one."""
    output = Format.JSON if json else output
    if stop:
        return _stopped(folder, output)
    with tempfile.TemporaryDirectory(prefix="federation-demo-") as scratch:
        key_bits = bits if protection is Protection.PAILLIER else None
        return _played(
            folder if keep else Path(scratch) / "demo", pictures, keep=keep, key_bits=key_bits, output=output
        )


def _played(folder: Path, pictures: Path, *, keep: bool, output: Format, key_bits: int | None = None) -> int:
    stories = _stories()
    began = time.perf_counter()
    say("Three airports want their joint delay, three places their joint rate of tuberculosis; nobody shows a row.")
    with tempfile.TemporaryDirectory(prefix="federation-data-") as scratch, ExitStack() as started:
        home = folder.with_name(folder.name + "-data") if keep else Path(scratch)
        with _timed("real data, checked, one file a jurisdiction"), ThreadPoolExecutor() as pool:
            files = list(pool.map(lambda story: story.split(home / story.name), stories))
        configured = [story.tables(own) for story, own in zip(stories, files, strict=True)]
        tables = {party: table for each in configured for party, table in each.items()}
        short = key_bits is not None and key_bits < PRODUCTION_BITS
        stage = Stage(folder, tables, told=_said, wire_log=(VICTIM,), development=short)
        with _timed(f"keys, roster, coordinator and {len(tables)} daemons"):
            started.enter_context(stage)
        if key_bits is not None:
            with _timed(f"{len(stories)} joint keys of {key_bits} bits"):
                stage.make_keys([sorted(own) for own in configured], key_bits)
        course = MASKED if key_bits is None else KEYED
        with stage.session(protection="masks" if key_bits is None else "paillier") as session:
            reports = [
                _interrupted(story, session, own, output, stage, course)
                if story.name == INTERRUPTED
                else _told(story, session, own, output)
                for story, own in zip(stories, files, strict=True)
            ]
        drawn = _drawn(reports, pictures)
        if keep:
            _write_jobs(folder)
            started.pop_all()
        else:
            with _timed("every process has ended"):
                started.close()
    return _answered(reports, drawn, time.perf_counter() - began, folder if keep else None, output)


def _stories() -> tuple[Any, ...]:
    """Return the stories; they are apart, and so are their types."""
    try:
        from federation_examples.flights import story as flights
        from federation_examples.tuberculosis import story as tuberculosis
    except ModuleNotFoundError as missing:
        raise Misuse(
            f"the demo needs {missing.name!r}", hint="install the extra: pip install 'pearl-federation[examples]'"
        ) from None
    return flights.STORY, tuberculosis.STORY


def _told(
    story: Any,  # noqa: ANN401
    session: Session,
    files: Mapping[str, Path],
    output: Format,
    interruption: Interruption | None = None,
) -> Any:  # noqa: ANN401
    """Tell one story: live lines on a terminal, one line a job in a pipe."""
    with Progress(story.name, output=output) as progress, _timed(story.name):
        live = on_terminal(sys.stderr) or output is Format.JSONL

        def update(line: Update) -> None:
            if live:
                progress.show(line)
            if interruption is not None:
                interruption.show(line)

        session.on_update = update
        return story.run(session, files.values())


def _interrupted(
    story: Any,  # noqa: ANN401
    session: Session,
    files: Mapping[str, Path],
    output: Format,
    stage: Stage,
    course: Course,
) -> Any:  # noqa: ANN401
    """Tell a story in the middle of which a daemon is killed, and say so below its figures."""
    with Interruption(
        stage, victim=VICTIM, bystander=BYSTANDER, after=JOBS_BEFORE, told=_said, course=course
    ) as interruption:
        report = _told(story, session, files, output, interruption)
    return replace(report, notes=(*report.notes, interruption.sentence()))


def _drawn(reports: Sequence[Any], folder: Path) -> tuple[list[Path], str]:
    """Draw every report's picture and return the files, or none and why."""
    from federation_examples import pictures

    try:
        with _timed("pictures"):
            return [pictures.png(report.drawing, folder) for report in reports], ""
    except Misuse as lacking:
        return [], f"{lacking.message}; {lacking.hint}"
    except OSError as failed:
        return [], f"{folder} cannot be written: {failed.strerror}"


def _write_jobs(folder: Path) -> None:
    (folder / "jobs").mkdir(exist_ok=True)
    for name, text in JOBS.items():
        (folder / "jobs" / name).write_text(text)


def _answered(
    reports: Sequence[Any], drawn: tuple[list[Path], str], seconds: float, kept: Path | None, output: Format
) -> int:
    pictures, undrawn = drawn
    agrees = all(report.agrees for report in reports)
    data: dict[str, Plain] = {
        "stories": [report.to_dict() for report in reports],
        "agrees": agrees,
        "seconds": seconds,
        "pictures": [str(path) for path in pictures],
        "no_pictures": undrawn,
        "folder": str(kept or ""),
    }
    looked_at = [f"pictures: {', '.join(map(str, pictures))}"] if pictures else [f"no pictures: {undrawn}"]
    after = [*looked_at, f"everything took {seconds:.1f} s", "", *_next(kept)]
    code = answer(
        data,
        text="\n".join([line for report in reports for line in (*report.text().splitlines(), "")] + after),
        output=output,
        exit_code=0 if agrees else 1,
        shown=lambda: _shown(reports, after),
    )
    if not agrees:
        raise JobFailed("a joint figure differs from its pooled reference")
    return code


def _next(kept: Path | None) -> list[str]:
    federation = "federation" if shutil.which("federation") else os.path.relpath(sys.argv[0])  # as it can be typed here
    if kept is not None:
        return [
            "It is still running. Next:",
            f"  FEDERATION_HOME={kept} {federation} catalog show tuberculosis",
            f"  FEDERATION_HOME={kept} {federation} run {kept}/jobs/flights.toml",
            f"  {federation} demo --stop --folder {kept}",
        ]
    return [
        "Next:",
        f"  {federation} demo --keep                 leave it running and ask your own questions",
        f"  {federation} jurisdiction init gd.toml   publish a table of yours",
        f"  {federation} --help                      what else there is",
    ]


def _shown(reports: Sequence[Any], after: Sequence[str]) -> RenderableType:
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for report in reports:
        # Not the table's own title: that wraps at the table's width.
        parts.append(Text(report.title, style="bold"))
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("", "federated", "pooled", "difference"):
            table.add_column(name, justify="right" if name else "left")
        for row in report.rows():
            table.add_row(*(Text(cell) for cell in row))
        parts += [table, *(Text(line, style="dim") for line in report.closing()), Text("")]
    return Group(*parts, *(Text(line) for line in after))


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    say(f"  {what}: {time.perf_counter() - began:.1f} s")


def _said(line: str) -> None:
    say(f"  {line}")


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

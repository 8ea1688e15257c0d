"""`federation verify RECEIPT|JOB|FILE`: the evidence of a job, fetched or from a file, checked line by line here."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Final, Self

import typer

from clients.cli.options import OutputOption, ProfileOption, application
from clients.cli.output import Format, Plain, answer, event, say
from clients.cli.progress import size

if TYPE_CHECKING:
    from clients.researcher.audit_training import Held
    from clients.researcher.findings import Report
    from federation.domain.roster import Roster

HELP: Final = """\
Check from the signatures up what a job opened: who permitted it, whose numbers are in it, what they add up to.

\b
  federation verify mean-age-7f3c                        fetch a job's evidence and check it
  federation verify mean-age-7f3c --save mean.evidence   and keep it
  federation verify mean.evidence --roster gba.roster    check a file; contacts nobody, anybody can
  federation verify mean-age-7f3c --chunk 0:3            only the fourth chunk of the first sum (masks only)
  federation verify mean.receipt --bundle mean.evidence  whether every line of a receipt follows from a file
  federation verify mean.receipt                         or from the evidence that the coordinator has

Every line says how it stands: proven by signatures and arithmetic done here, stated by a member, or not provable. The
first line that is broken names who is to blame, and ends the check. A file holds signatures, masked or encrypted
numbers with their proofs, and opened sums; no row, and no number of a party that was not opened. Receipts, which hold
digests and names, are written by `run --receipt FILE` and `result JOB --receipt FILE`. Of a training no evidence is
kept: its researcher is told what the parties signed, and that the models are those.

\b
Exit code: 0 everything holds   1 something is broken   2 usage, or the job has not ended
           3 another roster or another version of this software   4, 5 the coordinator does not answer
"""
PATIENCE_S: Final = 1.0  # before the first line that says what is being done
_CHUNK: Final = re.compile(r"([0-9]{1,6}):([0-9]{1,9})")

app = application("Check the evidence of a job, line by line.")


@app.command(help=HELP)
def verify(
    subject: Annotated[
        str, typer.Argument(metavar="RECEIPT|JOB|FILE", help="A job, as `result` names it, or a file of it.")
    ],
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Check a receipt by this evidence; the coordinator's if none."),
    ] = None,
    roster: Annotated[
        Path | None,
        typer.Option("--roster", metavar="FILE", help="Check a file by this roster; the profile's if none."),
    ] = None,
    chunk: Annotated[
        str, typer.Option("--chunk", metavar="ROUND:PLACE", help="Add up one chunk of one sum alone; both from 0.")
    ] = "",
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the evidence to this file.")
    ] = None,
    profile: ProfileOption = "",
    output: OutputOption = Format.TABLE,
) -> int:
    """Check what a job opened from its evidence, and say what is proven."""
    from clients.researcher.audit import audited
    from clients.researcher.audit_training import Held

    wanted = _chunk(chunk)
    receipt, job = _receipt(subject, bundle, chunk)
    file = bundle if receipt is not None else Path(subject) if roster is not None or Path(subject).is_file() else None
    from_file = file is not None
    with _Waiting(output) as waiting:
        if file is not None:
            content, members, job_hash = _read(file), _members(roster, profile), job
        else:
            from clients.researcher.evidence import fetched

            found = fetched(subject if job is None else job.hex(), profile=profile, told=waiting.received)
            if isinstance(found, Held):
                return _training(found, receipt, chunk, save, waiting, output)
            content, members, job_hash = found.content, found.roster, found.job_hash
        if save is not None:
            _save(save, content)
        report: Report = audited(content, members, job_hash=job_hash, chunk=wanted, receipt=receipt, told=waiting.step)
    advice = _advice(from_file=from_file, saved=save is not None)
    return _told(report, {"evidence_bytes": len(content)}, advice, output)


def _training(
    held: Held, receipt: bytes | None, chunk: str, save: Path | None, waiting: _Waiting, output: Format
) -> int:
    """Say what stands for a training, of which there is no evidence file."""
    from clients.researcher.audit_training import audited
    from federation.errors import Misuse

    if chunk or save is not None:
        raise Misuse(f"job {held.job.name} trained a model: its updates are not kept", hint="leave --chunk, --save out")
    report = audited(held, receipt=receipt, told=waiting.step)
    return _told(report, {}, "keep the job's name and tell the jurisdictions", output)


def _told(report: Report, data: dict[str, Plain], advice: str, output: Format) -> int:
    if report.broken is not None:
        say(f"error: the evidence {report.sentence}")
        say(f"hint: {advice}")
    return answer(
        {**data, **report.to_dict()},
        text=report.summary(),
        shown=report.for_terminal,
        output=output,
        exit_code=0 if report.broken is None else 1,
    )


class _Waiting:
    """Tells on stderr what is being done after 1, 3, 7, 15 .. seconds; in `-o jsonl` every step is an event.

    By a thread: the one step that takes long is the one that says nothing itself.
    """

    def __init__(self, output: Format) -> None:
        self._output = output
        self._what = "asking the coordinator"
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def received(self, count: int) -> None:
        """So many bytes of the evidence are here."""
        self._what = f"fetching, {size(count)}"

    def step(self, step: str) -> None:
        """A step of the audit begins."""
        event({"step": step}, output=self._output)
        self._what = step

    def _tell(self) -> None:
        began_s, pause_s = time.monotonic(), PATIENCE_S
        while not self._done.wait(pause_s):
            say(f"verify, {time.monotonic() - began_s:.0f} s: {self._what}")
            pause_s *= 2


def _advice(*, from_file: bool, saved: bool) -> str:
    if from_file:
        return (
            "no signature tells the coordinator from whoever had the file in between: fetch it from there and compare"
        )
    return "show the file to the other members" if saved else "--save FILE keeps the evidence: show it to the others"


def _chunk(text: str) -> tuple[int, int] | None:
    from federation.errors import Misuse

    if not text:
        return None
    found = _CHUNK.fullmatch(text)
    if found is None:
        raise Misuse(f"--chunk {text[:40]!r} is not ROUND:PLACE", hint="0:0 is the first chunk of the first sum")
    return int(found[1]), int(found[2])


def _receipt(subject: str, bundle: Path | None, chunk: str) -> tuple[bytes | None, bytes | None]:
    """Return the bytes of a receipt's file and the hash of its job, where the subject is one."""
    from clients.researcher.receipt import LARGEST_BYTES, job_in
    from federation.errors import Misuse
    from federation.identity import document

    path = Path(subject)
    if not path.is_file() or not document.read(path, what=f"the file {subject}", limit_bytes=1).startswith(b"{"):
        if bundle is not None:
            raise Misuse(
                "--bundle is the evidence that a receipt is checked by", hint="federation verify FILE checks it"
            )
        return None, None
    if chunk:
        raise Misuse("a receipt is checked by all of the evidence", hint="leave --chunk out")
    content = document.read(path, what=f"the receipt {subject}", limit_bytes=LARGEST_BYTES)
    return content, job_in(content)


def _read(file: Path) -> bytes:
    from clients.researcher.remote import LARGEST_FILE
    from federation.errors import Misuse
    from federation.identity import document
    from federation.wire.evidence import MAGIC

    content = document.read(file, what=f"the evidence file {file}", limit_bytes=LARGEST_FILE)
    if not content.startswith(MAGIC):
        raise Misuse(f"{file} is no evidence of a job", hint="federation verify JOB --save FILE writes such a file")
    return content


def _members(roster: Path | None, profile: str) -> Roster:
    from clients.researcher.profile_config import profile as profile_of
    from federation.identity import roster_file

    return roster_file.in_force(roster_file.load(profile_of(profile).roster if roster is None else roster))


def _save(path: Path, content: bytes) -> None:
    from federation.identity import document

    document.write(path, content, mode=0o600)  # opened sums, a purpose: for whoever asked, until that one hands it on
    say(f"evidence: {path}, {size(len(content))}")

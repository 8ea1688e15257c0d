"""Drives one plan over rounds: which secure sum is next, and what the plan concludes from what was opened.

Every party, and the researcher afterwards, runs the same replay on totals that it checked itself; equal totals give
equal rounds, results and transcript. Before sums are opened, a round of support opens how many parties withhold each
cell; cells with fewer than three contributors are then closed, and everybody sends zeros for them. Where all
operators publish their own figures there is no support round and nothing is closed, unless a query asks for such flags
alone. Recovery is a new replay fed with
the recorded numbers.

Whoever is counted in the first sum is counted in all of them: a plan that steers by one set and reads another would
be wrong without saying so.

Refused: numbers of another length, flags that parties cannot add up to, and more rounds than the job allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from federation.analytics.plan import Outcome, Plan
from federation.domain.catalogue import Dataset
from federation.domain.job import digest
from federation.errors import JobFailed, Misuse, ProtocolViolation
from federation.privacy.suppression import closes
from federation.query.query import SumQuery, Totals, shape
from federation.query.round import Phase, Round, decoded, round_digest, support

LABEL = "federation/transcript/v2"
NUMBER_BYTES = 16  # opened numbers live in Z_2^128, read as signed


class Replay:
    """One job's plan between two openings.

    `round` is the secure sum to ask next and None at the end, when `results` holds one outcome per statistic. `feed`
    takes the opened numbers of `round`. `transcript` chains every round and its numbers: 32 bytes that all who
    replayed alike agree on.
    """

    def __init__(
        self, plan: Plan[tuple[Outcome, ...]], joint: Dataset, *, parties: Sequence[str], max_rounds: int
    ) -> None:
        """Start `plan`.

        Args:
            plan: what `together` returns.
            joint: the data set that all parties' publications describe.
            parties: who takes part, sorted; all of them or some contribute, as `feed` is told.
            max_rounds: most secure sums, those of support included.

        Raises:
            JobFailed: the plan asks although `max_rounds` is 0.
        """
        self._plan = plan
        self._joint = joint
        self._contributors = tuple(parties)
        self._max_rounds = max_rounds
        self._withheld: tuple[tuple[int, ...], ...] | None = None
        self._round: Round | None = None
        self._results: tuple[Outcome, ...] | None = None
        self._last: tuple[Totals, ...] | None = None  # of the job's last round, until somebody reads the results
        self._transcript = digest(LABEL)
        self._fed = 0
        self._send(None)

    @property
    def round(self) -> Round | None:
        """The secure sum to ask next, None at the end."""
        return self._round

    @property
    def rounds_fed(self) -> int:
        """Secure sums fed so far."""
        return self._fed

    @property
    def contributors(self) -> tuple[str, ...]:
        """Who is counted: all parties before the first sum is open, then those who were counted in it."""
        return self._contributors

    @property
    def transcript(self) -> bytes:
        """32 bytes over every round fed, who was counted in it and its numbers, in order."""
        return self._transcript

    @property
    def results(self) -> tuple[Outcome, ...]:
        """One outcome per statistic, in the job's order; shaped when they are first read.

        Raises:
            Misuse: before the end.
            JobFailed: the plan asks for more rounds than the job allows.
        """
        if self._last is not None:
            last, self._last = self._last, None
            self._send(last)
        if self._results is None:
            raise Misuse("the plan has not come to its end", hint="feed the numbers of `round`")
        return self._results

    def feed(self, numbers: Sequence[int], contributors: Sequence[str] | None = None) -> None:
        """Take the opened numbers of `round`, signed integers below 2^127 in magnitude, and go on to the next one.

        Args:
            numbers: what was opened.
            contributors: whose numbers are in it, sorted; by default everybody who could be.

        Raises:
            ProtocolViolation: numbers that honest vectors cannot add up to, or another set of contributors than in the
                first round; nothing was taken.
            JobFailed: the plan asks for more rounds than the job allows.
        """
        asked = self._round
        if asked is None:
            raise Misuse("the plan came to its end and takes no more numbers")
        if any(not -(2**127) <= number < 2**127 for number in numbers):
            raise _violation(asked.phase, "numbers of 128 bits", "a longer one")
        counted = self._contributors if contributors is None else tuple(contributors)
        some = tuple(party for party in self._contributors if party in counted)  # in order, each once, at least one
        if counted != (self._contributors if self._fed else some) or not counted:
            raise _violation(asked.phase, f"the {len(self._contributors)} contributors of before", "another set")
        before, self._contributors = self._contributors, counted
        try:
            self._take(asked, numbers)
        except ProtocolViolation:
            self._contributors = before
            raise

    def _take(self, asked: Round, numbers: Sequence[int]) -> None:
        if asked.phase is Phase.SUPPORT:
            withheld = self._supported(asked, numbers)
            self._record(asked, numbers)
            if self._joint.own_figures and all(query.flags_only for query in asked.queries):
                self._send(tuple(map(self._flagged, asked.queries, withheld)))
                return
            self._withheld = withheld
            self._ask(Phase.SUMS, asked.queries, tuple(map(self._closed, asked.queries, withheld)))
        else:
            totals = self._opened(asked, numbers)
            self._record(asked, numbers)
            self._withheld = None
            if self._fed >= self._max_rounds:
                # Nothing can be asked any more. What is left is shaping results, which only the researcher reads:
                # parties and coordinator, who need the transcript, do not pay for it.
                self._round, self._last = None, totals
            else:
                self._send(totals)

    def _closed(self, query: SumQuery, withheld: tuple[int, ...]) -> tuple[bool, ...]:
        """Return which rows stay closed: all of a query for flags, else those with too few contributors."""
        if query.flags_only:
            return (True,) * len(withheld)
        parties = len(self._contributors)
        return tuple(not self._joint.own_figures and closes(f, parties) for f in withheld)

    def _flagged(self, query: SumQuery, withheld: tuple[int, ...]) -> Totals:
        """Return the totals of a query for flags: nothing is open."""
        form = shape(query, self._joint)
        return Totals(
            table=((0,) * (1 + form.terms),) * form.cells,
            counts=(0,) * len(form.counts),
            withheld=withheld[: form.cells],
            withheld_counts=withheld[form.cells :],
            parties=len(self._contributors),
            closed=(True,) * form.cells,
        )

    def _supported(self, asked: Round, numbers: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        withheld = support(asked, self._joint, numbers)
        if any(not 0 <= f <= len(self._contributors) for row in withheld for f in row):
            raise _violation(asked.phase, f"flags that add up to 0..{len(self._contributors)}", "another number")
        return withheld

    def _opened(self, asked: Round, numbers: Sequence[int]) -> tuple[Totals, ...]:
        totals = decoded(asked, self._joint, numbers, len(self._contributors))
        if self._withheld is None:
            return totals
        return tuple(_with_support(*item) for item in zip(totals, self._withheld, asked.closed, strict=True))

    def _record(self, asked: Round, numbers: Sequence[int]) -> None:
        words = b"".join(number.to_bytes(NUMBER_BYTES, "little", signed=True) for number in numbers)
        counted = digest("federation/contributors/v1", *(party.encode() for party in self._contributors))
        self._transcript = digest(LABEL, self._transcript, round_digest(asked), counted, words)
        self._fed += 1

    def _send(self, totals: tuple[Totals, ...] | None) -> None:
        try:
            queries = next(self._plan) if totals is None else self._plan.send(totals)
        except StopIteration as end:
            self._round, self._results = None, end.value
            return
        if self._joint.own_figures and not any(query.flags_only for query in queries):
            self._ask(Phase.SUMS, queries, None)
        else:
            self._ask(Phase.SUPPORT, queries, ())

    def _ask(self, phase: Phase, queries: tuple[SumQuery, ...], closed: tuple[tuple[bool, ...], ...] | None) -> None:
        self._round = None
        if self._fed >= self._max_rounds:
            raise JobFailed(f"the plan asks for more than the job's {self._max_rounds} rounds", hint="raise max_rounds")
        if closed is None:
            closed = tuple((False,) * shape(query, self._joint).rows for query in queries)
        self._round = Round(index=self._fed, phase=phase, queries=queries, closed=closed)


def _with_support(totals: Totals, withheld: tuple[int, ...], closed: tuple[bool, ...]) -> Totals:
    """Return `totals` with the flags of the support round, also in closed rows, where the sums have none.

    Raises ProtocolViolation where the flags of an open row are not those that the support round opened.
    """
    said = (*totals.withheld, *totals.withheld_counts)
    if any(f != again for f, again, shut in zip(withheld, said, closed, strict=True) if not shut):
        raise _violation(Phase.SUMS, "the flags that the support round opened", "other flags")
    cells = len(totals.table)
    return replace(totals, withheld=withheld[:cells], withheld_counts=withheld[cells:])


def _violation(phase: str, expected: str, got: str) -> ProtocolViolation:
    return ProtocolViolation("one of the parties", phase=phase, expected=expected, got=got)

"""What a training would open, to whom, and what bounds it, for people; nobody is asked.

Unlike a statistic's, a training's later sums do not depend on what the first ones open, only their values do: so all of
them are told, and what a sum of updates may tell is said, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from clients.researcher import rendering
from clients.researcher.forecast import Forecast
from clients.researcher.receipt import losses
from federation.errors import Misuse
from federation.jobs.outlook import Outlook

TRAINING_COLUMNS: Final = ("what opens", "sums", "numbers", "bits", "KB a party")
MOST_NAMES: Final = 6
FEWEST_UNITS: Final = 10  # learned from at a party, whatever k is


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TrainingForecast(Forecast):
    """What a training would do."""

    @property
    def outlook(self) -> Outlook:
        """What opens after the scaling. Raises Misuse for a job that trains nothing."""
        if self.preview.training is None:
            raise Misuse(f"job {self.job.name} asks statistics and trains nothing")
        return self.preview.training

    @property
    def columns(self) -> tuple[str, ...]:
        """What the fields of a row are."""
        return TRAINING_COLUMNS

    def rows(self) -> list[tuple[rendering.Cell, ...]]:
        """Return one row for each kind of sum."""
        of = self.outlook
        supports = self.preview.most_rounds - of.rounds - of.evaluations - 1
        found: list[tuple[rendering.Cell, ...]] = [
            ("how many parties withhold the next row", supports, one.flags, None, None)
            for one in self.preview.openings
            if supports
        ]
        found += [(self._scaling(), 1, one.numbers, None, None) for one in self.preview.openings]
        weighted = "row-weighted" if of.weighted else "plain"
        update = f"{weighted} sum of updates by {of.strategy} of {of.model}'s {of.parameters:,} parameters"
        found.append((update, of.rounds, of.numbers, of.bits, round(of.update_bytes / 1000, 1)))
        if of.evaluations:
            tally = {
                "regression": "rows held out, sum of their squared errors",
                "binary": "rows held out, sum of losses, right answers and 256 bins of scores by class",
                "classes": "rows held out, sum of losses, rows and right answers by class",
            }[of.task]
            found.append((tally, of.evaluations, of.tally, None, round(of.tally_bytes / 1000, 1)))
        return found

    def _scaling(self) -> str:
        scaled = self.outlook.scaled
        if not scaled:
            return "count of rows"
        more = len(scaled) - MOST_NAMES
        names = ", ".join(scaled[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
        return f"count of rows; sums and sums of squares, about a public centre, of {names}"

    def _bears(self) -> str:
        n = len(self.preview.parties)
        said = losses(n, self.least)
        if self.least == n:
            return f"{said}: one that is lost is waited for until the deadline"
        return f"{said}: a party that is lost in some round is left out of the later ones"

    def _later(self) -> list[str]:
        of = self.outlook
        length = f"its L2 norm is bounded by {of.norm:g}, at home" if of.norm else "no bound on its length"
        held = f"by column {of.split}" if of.split else f"{of.holdout:.0%} of each party's rows, by the job's seed"
        lines = [
            f"at most {self.preview.most_rounds} secure sums",
            f"an update: {length}; each entry is cut to {of.clip:g} either way and rounded to {of.bits} bits",
            "beside a sum of updates open the sum of weights and how many entries were cut",
            f"held out, never learned from: {held}" if of.evaluations else "nothing is held out: no round is evaluated",
            "every party merges by itself: all parties and the coordinator know the joint model after every round",
            f"{self.job.researcher} is told digests of the updates, and fetches the model",
        ]
        if of.personal:
            lines.append("each party keeps a model of its own, which never leaves; evaluations are of those")
        if not of.added_up_by_all:
            lines.append("each party adds up samples of all updates, not all of them: weaker than for a statistic")
        lines.append(f"a party with fewer than {max(self.preview.k, FEWEST_UNITS)} units to learn from refuses")
        if of.categories:
            levels = ", ".join(of.categories[:MOST_NAMES]) + (" .." if len(of.categories) > MOST_NAMES else "")
            lines.append(f"a level of {levels} that one party alone has moves entries of the sum that are its own")
        lines.append("no noise is added: a model may tell whether somebody's row was learned from")
        return lines

"""A survey sample of a table: its design said once, its totals, means, ratios and models asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from clients.researcher.asking import computation

if TYPE_CHECKING:
    from clients.researcher.results import Result
    from federation.analytics.groups import By
    from federation.domain.job import Computation


class Survey:
    """Rows that were drawn in strata and clusters, with weights; made by `table.survey`.

    Attributes:
        design: what every question carries: strata, psu, weights, fpc.
    """

    def __init__(self, ask: Callable[[Computation], Result], design: Mapping[str, object]) -> None:
        self._ask = ask
        self.design = {name: value for name, value in design.items() if value is not None}

    def total(self, x: str | None = None, by: By = None, domain: str = "") -> Result:
        """Add up a column over the population, or count it without one. Runs one job.

        Args:
            x: a column of numbers.
            by: a category column, or several.
            domain: a condition for the part that is estimated; clusters are counted over the whole sample.
        """
        return self._ask(computation("survey_total", x, by=by, domain=domain, **self.design))

    def mean(self, x: str, by: By = None, domain: str = "") -> Result:
        """Average a column over the population, as `total` does. Runs one job."""
        return self._ask(computation("survey_mean", x, by=by, domain=domain, **self.design))

    def ratio(self, numerator: str, denominator: str, by: By = None, domain: str = "") -> Result:
        """Divide the total of one column by that of another, as `total` does. Runs one job."""
        return self._ask(computation("survey_ratio", numerator, denominator, by=by, domain=domain, **self.design))

    def glm(self, formula: str, family: str = "gaussian", **options: object) -> Result:
        """Fit a weighted generalized linear model, with errors between clusters. Runs one job.

        Args:
            formula: `y ~ a*b + C(region)`.
            family: as `table.glm` has it.
            options: further parameters of `survey_glm`.
        """
        return self._ask(computation("survey_glm", formula, family=family, **options, **self.design))

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.design.items())
        return f"survey({said}).{{total, mean, ratio, glm}}(...)"

"""The families of generalized linear models: what a row contributes to a Newton step, a deviance and a likelihood.

With eta = x'b + offset, mean mu and prior weight w, a family gives the weight of the Gram (w times the observed
information of eta), the residual (w times the derivative of the row's log-likelihood by eta) and a loss that is minus
that log-likelihood up to what does not depend on b. Formulas: McCullagh and Nelder, Generalized Linear Models (1989),
chapters 2, 8 and 11; deviances and likelihoods are those of statsmodels' families.

Exponentials need a bound. Where the model has a constant and the link is the canonical one, the fitted means add up to
the responses, so none exceeds their sum: eta is clipped there, generously, and the sum of what was clipped proves
afterwards that no row was. Refused: a response that the family does not have, by its declared range.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final

from federation.errors import Misuse, did_you_mean
from federation.query import exact
from federation.query.bounds import Interval
from federation.query.expression import Const, Expression

TINY: Final = 1e-300  # stands for zero under a logarithm that is multiplied by zero
FLOOR: Final = -745.0  # the least exponent whose exponential is above zero

Sums = Mapping[str, Fraction]  # of whole-sample sums by name; those of weights among them


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one row contributes at one b, before prior weights.

    Attributes:
        weight: observed information of eta, minus the second derivative of the log-likelihood: never negative.
        residual: derivative of the log-likelihood by eta.
        loss: minus the log-likelihood, up to what b does not change.
        expected: information of eta, where the link is not the canonical one; covariances are made of it. None where it
            is `weight`.
        mass: an exponential that was clipped, whose sum proves that the clip did nothing; None where none was.
    """

    weight: Expression
    residual: Expression
    loss: Expression
    expected: Expression | None = None
    mass: Expression | None = None


class Family(ABC):
    """A distribution and its link.

    Attributes:
        name: as the researcher writes it.
        link: of the mean.
        dispersed: whether a scale is estimated, by Pearson's chi-square; else it is 1.
    """

    name: ClassVar[str]
    link: ClassVar[str]
    dispersed: ClassVar[bool] = False

    @abstractmethod
    def check(self, response: Interval) -> None:
        """Raise Misuse where the declared range of the response is not of this family."""

    @abstractmethod
    def working(self, y: Expression) -> Expression:
        """Return a number whose least-squares fit is a place to start."""

    @abstractmethod
    def step(self, y: Expression, eta: Expression, reach: float) -> Step:
        """Return what a row contributes; exponents are clipped at `reach`."""

    @abstractmethod
    def constants(self, y: Expression, response: Interval) -> dict[str, Expression]:
        """Return what is summed once, times prior weights, for deviance and likelihood."""

    @abstractmethod
    def deviance(self, loss: Fraction, sums: Sums) -> Fraction:
        """Return the deviance from the weighted sum of losses, and the sums of constants and of "weights"."""

    @abstractmethod
    def mean_eta(self, mean: Fraction) -> float:
        """Return eta of a constant mean, exactly replayable; the null model without offset. Raises Misuse."""

    @abstractmethod
    def null_loss(self, mean: Fraction, sums: Sums) -> Fraction:
        """Return the weighted sum of losses of the model with this mean in every row."""

    def log_likelihood(self, loss: Fraction, sums: Sums) -> Fraction:
        """Return the log-likelihood, where no scale is estimated."""
        return -loss - sums.get("constant", Fraction(0))

    def reach(self, sums: Sums) -> float:  # noqa: ARG002 - a family without exponentials has none
        """Return the exponent beyond which no row is at the optimum, generously."""
        return 0.0

    def pearson(self, y: Expression, eta: Expression, reach: float) -> Expression | None:  # noqa: ARG002 - the contract's
        """Return a row's contribution to Pearson's chi-square, None where the scale is 1."""
        return None

    def mean(self, eta: float) -> float:
        """Return the mean at `eta`, for predictions."""
        return exact.exp(eta)


class Binomial(Family):
    """A share of successes, or 0 and 1, by its logit."""

    name = "binomial"
    link = "logit"

    def check(self, response: Interval) -> None:
        if response.low < 0 or response.high > 1:
            raise Misuse(
                "a binomial response is 0 or 1, or a share, by its declared range",
                hint='write a condition: outcome == "yes" ~ ..., or I(x > 5) ~ ...',
            )

    def working(self, y: Expression) -> Expression:
        return 4 * y - 2  # the first Newton step from b = 0

    def step(self, y: Expression, eta: Expression, reach: float) -> Step:  # noqa: ARG002 - nothing is clipped
        mean = eta.expit()
        return Step(weight=mean * (1 - mean), residual=y - mean, loss=eta.softplus() - y * eta)

    def constants(self, y: Expression, response: Interval) -> dict[str, Expression]:
        if response.integer:  # 0 and 1: y log y = 0
            return {}
        entropy = _xlogx(y) + _xlogx(1 - y)
        return {"saturated": entropy, "constant": (y + 1).lgamma() + (2 - y).lgamma()}

    def deviance(self, loss: Fraction, sums: Sums) -> Fraction:
        return 2 * (loss + sums.get("saturated", Fraction(0)))

    def mean_eta(self, mean: Fraction) -> float:
        if not 0 < mean < 1:
            raise Misuse("every row has the same response", hint="there is nothing to explain")
        return exact.ln(float(mean / (1 - mean)))

    def null_loss(self, mean: Fraction, sums: Sums) -> Fraction:
        log, rest = exact.ln(float(mean)), exact.ln(float(1 - mean))
        return -sums["weights"] * (mean * Fraction(log) + (1 - mean) * Fraction(rest))

    def mean(self, eta: float) -> float:
        return 1.0 / (1.0 + exact.exp(-eta))


class _Log(Family):
    """What families of counts and amounts with a log link share."""

    link = "log"

    def mean_eta(self, mean: Fraction) -> float:
        if mean <= 0:
            raise Misuse("every response is 0", hint="there is nothing to explain")
        return exact.ln(float(mean))


class Poisson(_Log):
    """A count, by its logarithm."""

    name = "poisson"

    def check(self, response: Interval) -> None:
        _not_negative(response, "poisson")

    def working(self, y: Expression) -> Expression:
        return (y + 0.5).log()

    def step(self, y: Expression, eta: Expression, reach: float) -> Step:
        mean = eta.clip(FLOOR, reach).exp()
        return Step(weight=mean, residual=y - mean, loss=mean - y * eta, mass=mean)

    def constants(self, y: Expression, response: Interval) -> dict[str, Expression]:  # noqa: ARG002 - the contract's
        return {"saturated": _xlogx(y) - y, "constant": (y + 1).lgamma()}

    def deviance(self, loss: Fraction, sums: Sums) -> Fraction:
        return 2 * (loss + sums["saturated"])

    def null_loss(self, mean: Fraction, sums: Sums) -> Fraction:
        return sums["weights"] * mean * (1 - Fraction(self.mean_eta(mean)))

    def reach(self, sums: Sums) -> float:
        return exact.ln(max(float(sums["total"]), 1.0)) + 3.0


class Gamma(_Log):
    """A positive amount whose standard deviation grows with its mean, by its logarithm."""

    name = "gamma"
    dispersed = True

    def check(self, response: Interval) -> None:
        _not_negative(response, "gamma")

    def working(self, y: Expression) -> Expression:
        return y.log()

    def step(self, y: Expression, eta: Expression, reach: float) -> Step:
        ratio = (y.log() - eta).clip(FLOOR, reach).exp()
        return Step(weight=ratio, residual=ratio - 1, loss=eta + ratio, expected=Const(1), mass=ratio)

    def constants(self, y: Expression, response: Interval) -> dict[str, Expression]:  # noqa: ARG002 - the contract's
        return {"saturated": y.log()}

    def deviance(self, loss: Fraction, sums: Sums) -> Fraction:
        return 2 * (loss - sums["saturated"] - sums["weights"])

    def null_loss(self, mean: Fraction, sums: Sums) -> Fraction:
        return sums["weights"] * (Fraction(self.mean_eta(mean)) + 1)

    def reach(self, sums: Sums) -> float:
        return exact.ln(float(sums["rows"])) + 3.0

    def pearson(self, y: Expression, eta: Expression, reach: float) -> Expression:
        return ((y.log() - eta).clip(FLOOR, reach).exp() - 1) ** 2


class NegativeBinomial(_Log):
    """A count whose variance is mu + alpha mu^2, by its logarithm; alpha is given."""

    name = "negativebinomial"

    def __init__(self, alpha: float) -> None:
        if not 0 < alpha < math.inf:
            raise Misuse("alpha of a negative binomial is above 0", hint='alpha = 0 is family="poisson"')
        self.alpha = float(alpha)
        self.log_alpha = exact.ln(self.alpha)

    def check(self, response: Interval) -> None:
        _not_negative(response, "negative binomial")

    def working(self, y: Expression) -> Expression:
        return (y + 0.5).log()

    def step(self, y: Expression, eta: Expression, reach: float) -> Step:  # noqa: ARG002 - nothing is clipped
        moved = eta + self.log_alpha
        share = moved.expit()  # alpha mu / (1 + alpha mu)
        sizes = y + 1.0 / self.alpha
        bend = share * (1 - share)
        return Step(
            weight=sizes * bend,
            residual=y - sizes * share,
            loss=sizes * moved.softplus() - y * moved,
            expected=share * (1.0 / self.alpha),
        )

    def constants(self, y: Expression, response: Interval) -> dict[str, Expression]:  # noqa: ARG002 - the contract's
        sizes = y + 1.0 / self.alpha
        return {"saturated": _xlogx(y) - sizes * sizes.log(), "constant": (y + 1).lgamma() - sizes.lgamma()}

    def deviance(self, loss: Fraction, sums: Sums) -> Fraction:
        return 2 * (loss + sums["saturated"] - sums["weights"] * Fraction(self.log_alpha / self.alpha))

    def log_likelihood(self, loss: Fraction, sums: Sums) -> Fraction:
        return -loss - sums["constant"] - sums["weights"] * Fraction(exact.lgamma(1.0 / self.alpha))

    def null_loss(self, mean: Fraction, sums: Sums) -> Fraction:
        moved = self.mean_eta(mean) + self.log_alpha
        softplus = Fraction(exact.softplus(moved))
        return sums["weights"] * ((mean + Fraction(1.0 / self.alpha)) * softplus - mean * Fraction(moved))


FAMILIES: Final = ("gaussian", "binomial", "poisson", "gamma", "negativebinomial")


def family(name: str, alpha: float) -> Family | None:
    """Return the family called `name`, None for the gaussian one, which needs no iterations. Raises Misuse."""
    match name.lower():
        case "gaussian":
            return None
        case "binomial":
            return Binomial()
        case "poisson":
            return Poisson()
        case "gamma":
            return Gamma()
        case "negativebinomial":
            return NegativeBinomial(alpha)
    raise Misuse(f"there is no family {name[:40]!r}", hint=did_you_mean(name, FAMILIES))


def _xlogx(x: Expression) -> Expression:
    """Return x log x of x >= 0, which is 0 at 0."""
    return x * x.clip(TINY, 1e300).log()


def _not_negative(response: Interval, name: str) -> None:
    if response.low < 0:
        raise Misuse(f"a {name} response is not negative, by its declared range", hint="declare or clip its range")

"""Which way a model is fitted: least squares at once, every other family step by step."""

from __future__ import annotations

from federation.analytics.iterated import iterated
from federation.analytics.least_squares import least_squares
from federation.analytics.plan import Plan
from federation.analytics.regression import Model
from federation.analytics.regression_result import Regression


def fit(model: Model) -> Plan[Regression]:
    """Return the plan of a model of any family."""
    return least_squares(model) if model.family is None else iterated(model, model.family)

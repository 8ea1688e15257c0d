"""sql/: queries as SQL, written as syntax trees; no text of a researcher is ever part of a statement.

layers (`let`: named columns computed once, as chained CTEs) · arithmetic (expressions over those columns) ·
rounds (the queries of a round as few statements, and their rows as answers) · reading (rows, for what learns at home).
The relation that is read is described in `layers`: every engine provides it, and `.sql(dialect)` does the rest.
"""

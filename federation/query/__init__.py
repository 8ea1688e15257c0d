"""query/: what is asked of rows, and how the answer becomes integers. Pure: rows stand only in the oracle's arguments.

expression (the typed DAG) · sorts (its typing) · predicate (text to a condition) · bounds (intervals, scales) ·
query (SumQuery, Answer, Totals, canonical bytes) · round (several queries as one vector) · row_query ·
evaluate (the numpy oracle that engines must agree with) · exact (arithmetic that has the same bits everywhere).
"""

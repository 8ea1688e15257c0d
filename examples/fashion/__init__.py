"""Three shops as three parties: what is on a picture of clothing, when no shop shows its pictures?

data: Fashion-MNIST (Debian package dataset-fashion-mnist), checked by SHA-256; a SYNTHETIC split, drawn by Dirichlet
story: a network of 199,210 parameters under secure aggregation, beside pooled and local ones
python -m federation_examples.fashion runs it in one process, without daemons
"""

"""Joint models: what an architecture is, what a strategy does in a round, and how a model rests in a file.

model · layout · inputs   an architecture, its tensors in one flat vector, the shape of its rows; models/ one file each
strategy · merging        both halves of a round, a party's and everybody's; strategies/ one file each; plan runs them
descent · evaluation      what runs on rows, with torch inside functions, and what opened figures of quality say
checkpoint                safetensors files and the model's hash: no format that runs code
"""

"""Joint models: what a training strategy is, and which architectures a job may name.

strategy: the contract, both halves of a round · models: the registry of architectures with typed configuration
strategies/: one file a strategy, elementwise arithmetic on a flat vector, so that every party can merge by itself;
torch is imported only inside the body of `local_step`, which runs in the jurisdiction room and nowhere else.
"""

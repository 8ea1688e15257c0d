"""clients/local/: all programs of a federation in one process, with the code that they run apart.

federation (`fed.local`: the session and its in-process transport) · network (who hands frames to whom) ·
infer (what frames are, where nobody published a description) · simulation (a strategy over a hundred or a thousand
parties) · simulated_sum (their masked sums) · numpy_clients (`fed.numpy_clients`: classes of Flower's shape) ·
client_arrays (what these return, read) · client_rounds (what they trained). For notebooks, tests and scale runs.
"""

"""Windows: chunks of samples → windows of the length a model looks at.

Takes   SampleChunk and Gap records in the lane's order; `cut.Config`.
Gives   SampleWindow records: the last `length_s` of samples, a new one every `hop_s`, with features where the config names them.
Threads the lane thread.
Fails   never by data: a gap empties the window and is counted; Problem at start when a key does not fit another.
Add one (features) a function in `features.py` named as the config names it.
"""

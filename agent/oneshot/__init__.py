"""One-shot: a model looks at files that a person names, without a config, a store or a network (`edge-agent infer`).

Takes   a model (path or catalogue name) with the keys of a `[lane.X.model.Y]` table, and pictures, .npy arrays, folders, videos.
Gives   one result an input, in order: as a JSON object, as a line for people, as a picture with what was found drawn on it.
Threads the caller's.
Fails   Problem: Exit.MODEL for the model, Exit.COMMAND_LINE for words that cannot be meant, Exit.NO for an input that cannot be read.
Add one a kind of input is a function in `inputs.py`; what a new kind of result looks like stands in `lines.py` and `drawing.py`.
"""

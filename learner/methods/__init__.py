"""Methods: what is trainable for a new task, what is kept, and what is served.

`base` has the protocol, `config` what can be chosen; each method has a file with its name.
"""

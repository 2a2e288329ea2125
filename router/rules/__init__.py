"""The routing rules: their YAML, its checking, and the one evaluation that everything else reads.

Pure: no I/O beyond loading a file; the time is passed in. Knows nothing of Asterisk or Redis.
"""

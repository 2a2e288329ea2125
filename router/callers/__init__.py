"""Who is calling: numbers as E.164, age bands, the registry in Redis and its import.

Knows nothing of Asterisk or of the rules.
"""

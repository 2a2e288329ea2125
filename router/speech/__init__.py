"""Prompts at each speech profile's speed: synthesised from text, or stretched with their pitch kept.

Knows nothing of the rules; the command line hands it the profiles.
"""

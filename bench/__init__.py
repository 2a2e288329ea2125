"""Measures the router and asserts nothing: `make bench` writes docs/benchmarks.md.

    added_latency   what the router adds to a real call, and what a call costs, on a real Asterisk
    replay          how many decisions a second one process makes, and its memory, fed by a recorded stream
    readers         what other AMI clients manage of the same stream
    rule_cost       what deciding costs by the number of rules, beside a general rule engine
    speech_latency  how soon a caller hears what is said during the call, and what that does to routing

Everything is a ratio within one run on one machine: absolute numbers do not travel.
"""

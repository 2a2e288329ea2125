"""A real call centre on one machine: Asterisk, Redis, SIP phones and the router, on loopback and free ports.

The demo, `make run`, the integration tests and the benchmarks are built on it. It is not part of what is
installed. Everything it starts has its own files in a directory of its own and is stopped by its process id.
"""

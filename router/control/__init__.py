"""What operators ask of the running router over its Unix socket, and the client by which commands ask.

It passes requests to handlers that others give it, and knows who asks, which the kernel tells. It knows nothing
of Asterisk or the rules beyond what a handler needs to be called.
"""

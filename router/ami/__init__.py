"""One link to one Asterisk: AMI bytes, messages, login, keepalive, reconnect, actions with deadlines.

Knows nothing of callers or rules. `framing`, `messages` and `session` do no I/O; `link` is the asyncio
shell around them.
"""

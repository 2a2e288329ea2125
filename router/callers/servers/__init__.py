"""The Redis servers of the registry: finding the one that holds a key, and asking it in time.

One server, a primary found by Sentinel, or a cluster: whoever asks names a key and gets answers or a
`LookupFailedError` within the deadline, whatever the servers do. Knows nothing of callers or of what the keys mean.
"""

from router.callers.servers.asking import Servers
from router.callers.servers.failure import LookupFailedError, LookupFailure
from router.callers.servers.opening import open_servers

__all__ = ["LookupFailedError", "LookupFailure", "Servers", "open_servers"]

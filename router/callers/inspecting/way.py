"""How a server is reached: whether others can read along."""

from __future__ import annotations

import ipaddress

from router.callers.inspecting.findings import Finding, ok, warning
from router.callers.settings import RedisSettings


def way_finding(redis: RedisSettings, name: str) -> Finding:
    """How the server is reached: in plain text over a network it should not be."""
    about = f"redis {name}"
    how = "a cluster" if redis.cluster else f"the primary of {redis.service}" if redis.sentinels else "one server"
    if name.startswith("/"):
        return ok(about, "answers at a socket of this machine")
    by_url = not (redis.cluster or redis.sentinels)
    if redis.tls is not None or (by_url and redis.url.startswith("rediss:")):
        if redis.tls is not None and not redis.tls.verify:
            do = "give `tls: {ca_file: …}` in place of `verify: false`, or anybody in between can pretend to be Redis"
            return warning(about, f"answers ({how}), over TLS, and its certificate is not looked at", do)
        return ok(about, f"answers ({how}), over TLS")
    if is_loopback(name.rpartition(":")[0]):
        return ok(about, f"answers ({how}), on this machine")
    do = "use `tls:` in the settings and `tls-port` in Redis, or a tunnel"
    return warning(about, f"answers ({how}), in plain text over the network, the password too", do)


def is_loopback(host: str) -> bool:
    """Whether what goes there stays on this machine; of a name that is not known here, no."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"

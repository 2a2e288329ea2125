"""Kept until `registry` asks `servers`."""

from router.callers.servers.address import RegistryAddress
from router.callers.servers.link import RegistryLink
from router.callers.servers.wire import Command, Reply

__all__ = ["Command", "RegistryAddress", "RegistryLink", "Reply"]

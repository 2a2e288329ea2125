"""A load into a real cluster of which a primary is killed: it waits for the replica, and nobody is missing then."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from redis.asyncio.cluster import RedisCluster as ClusterClient

from lab.feeds import MadeFeed
from lab.redis_groups import RedisCluster
from lab.registry import BANDS
from router.callers.generation import read_generation
from router.callers.keys import REGISTRY_KEY, bucket_key
from router.callers.loading.full import FullLoad
from router.callers.loading.lines import Lines
from router.callers.loading.lock import ImportLock, work_folder
from router.callers.loading.pacing import Pacer
from router.callers.loading.steps import Step, Terms
from router.callers.servers import open_servers
from router.callers.settings import RedisSettings
from tests.integration.feeds import RING, TODAY

pytestmark = pytest.mark.integration

CALLERS = 30_000


async def test_a_primary_killed_during_a_load_costs_time_and_no_callers(tmp_path: Path) -> None:
    feed = MadeFeed.random(CALLERS)
    async with RedisCluster(tmp_path / "cluster", replicas=1) as cluster:
        settings = RedisSettings(cluster=tuple(server.server for server in cluster.servers))
        half = asyncio.Event()

        def watch(step: Step) -> None:
            if step.doing == "loading" and step.done > CALLERS // 2:
                half.set()

        async with open_servers(settings, deadline_s=2.0) as servers:
            with work_folder(tmp_path / "work") as folder:
                lines = Lines(servers)
                try:
                    async with ImportLock(servers, folder) as lock:
                        load = FullLoad(lines, lock, Pacer(rate=30_000), folder, watch)
                        terms = Terms(BANDS, RING.newest, TODAY, CALLERS, 5.0)
                        task = asyncio.create_task(load.run(feed, terms))
                        await half.wait()
                        await cluster.primaries[0].child.stop(signal.SIGKILL)
                        await task
                finally:
                    await lines.close()
        rest = cluster.servers[1]
        async with ClusterClient(host="127.0.0.1", port=rest.port) as client:
            text = await client.get(REGISTRY_KEY)
            assert isinstance(text, bytes)
            now = read_generation(text)
            sizes = [await client.hlen(bucket_key(now.generation, n, now.buckets)) for n in range(now.buckets)]
    assert sum(sizes) == now.callers == CALLERS

"""The daemon tells of a registry that is not as it should be, in its log and over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from lab.ports import free_port
from lab.redis import RedisServer
from router.callers import health as health_module
from router.callers.generation import Generation, StoredBand
from router.callers.secret_ring import load_or_create_ring
from router.callers.settings import RedisSettings
from router.web.settings import MetricsSettings

from .test_daemon import an_asterisk, running, settings_for


async def fetched(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return answer.partition("\r\n\r\n")[2]


async def test_a_stale_registry_with_other_bands_is_told_by_log_health_and_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "LOOK_EVERY_S", 0.01)
    redis = RedisServer(tmp_path / "redis")
    await redis.start()
    secret = load_or_create_ring(tmp_path / "registry.secrets").newest.name
    two_days_ago = time.time() - 2 * 86_400
    generation = Generation(
        generation=1,
        secret=secret,
        buckets=64,
        bands=(StoredBand(name="adult", from_years=0), StoredBand(name="ancient", from_years=90)),
        callers=2,
        by_band={"adult": 1, "ancient": 1},
        as_of="2026-11-23",
        loaded_at=two_days_ago,
        fresh_at=two_days_ago,
    )
    async with Redis.from_url(redis.url) as client:
        await client.set("elder:registry", generation.text())
    port = free_port()
    async with an_asterisk() as asterisk:
        settings = settings_for(tmp_path, asterisk.port)
        settings = replace(
            settings,
            registry=replace(settings.registry, redis=RedisSettings(redis.url), deadline_s=1.0),
            metrics=MetricsSettings("127.0.0.1", port, "elder-router.yaml", 1, 1),
        )
        with capture_logs() as logs:
            async with running(settings):
                async with asyncio.timeout(10):
                    answer: dict[str, Any] = {"warnings": []}
                    while {warning["what"] for warning in answer["warnings"]} != {"stale", "bands differ"}:
                        await asyncio.sleep(0.01)
                        answer = json.loads(await fetched(port, "/health"))
                metrics = await fetched(port, "/metrics")
    await redis.stop()
    assert answer["status"] == "warning"
    assert "elder_router_registry_stale 1.0" in metrics
    assert 'elder_router_registry_callers{band="ancient"} 1.0' in metrics
    told = {line["what"] for line in logs if line["event"] == "registry needs attention"}
    assert told - {"unusable"} == {"stale", "bands differ"}, "looked at so often, also before it was first read"

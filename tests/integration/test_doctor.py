"""`elder-router doctor` where Redis is more than one server, and where its users may do only what they need."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.redis import RedisServer
from lab.redis_groups import RedisCluster, RedisWithSentinels, said

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("elder-router")
FEED = "number,birth_date\n" + "".join(f"139{number:08d},{1930 + number % 80}-05-05\n" for number in range(2000))


@dataclass(frozen=True, slots=True)
class Told:
    status: int
    text: str

    def all_about(self, words: str) -> list[str]:
        """The lines about these words, each `level: what`."""
        return [line for line in self.text.splitlines() if line[9:].startswith(words)]


class Place:
    """A folder with settings; Asterisk is not there, which is not what is looked at here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "ami.secret").write_text("secret5\n")
        (folder / "ami.secret").chmod(0o600)
        (folder / "routing.yaml").write_text((ROOT / "config" / "routing.yaml").read_text())
        (folder / "callers.csv").write_text(FEED)

    def write(self, *callers: str) -> None:
        lines = "".join(f"  {line}\n" for line in callers)
        (self.folder / "elder-router.yaml").write_text(
            "asterisk: [{name: pbx1, host: 127.0.0.1, port: 1, secret_file: ami.secret}]\n"
            "rules: routing.yaml\njournal: {file: journal.jsonl, secret_file: callers.key}\ncallers:\n" + lines
        )

    async def run(self, *words: str) -> Told:
        process = await asyncio.create_subprocess_exec(
            *[str(PROGRAM), "--config", "elder-router.yaml", *words],
            cwd=self.folder,
            env={},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
        return Told(process.returncode or 0, out.decode())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_each_server_of_a_cluster_is_looked_at(place: Place, tmp_path: Path) -> None:
    async with RedisCluster(tmp_path / "cluster") as cluster:
        place.write(f"cluster: [{', '.join(cluster.names)}]")
        loaded = await place.run("callers", "import", "callers.csv")
        assert loaded.status == 0, loaded.text
        await said(cluster.primaries[1].port, "CONFIG", "SET", "hash-max-listpack-entries", "10")
        told = await place.run("doctor")
        assert told.all_about("cluster: ") == ["ok       cluster: 3 primaries, 0 replicas, every slot is served"]
        for name in cluster.names:
            assert told.all_about(f"redis {name}")[0].endswith("answers (a cluster), on this machine")
            assert told.all_about(f"rights of {name}")[0].startswith("ok")
            assert told.all_about(f"leftovers of {name}")[0].startswith("ok")
            assert told.all_about(f"bucket form of {name}")[0].endswith("listpack")
        small = [line for line in told.all_about("bucket limits of") if line.startswith("warning")]
        assert [line.split()[4] for line in small] == [f"{cluster.primaries[1].server}:"]
        assert "2,000 callers" in told.all_about("registry: ")[0]


async def test_a_cluster_of_which_a_server_is_gone_is_wrong(place: Place, tmp_path: Path) -> None:
    async with RedisCluster(tmp_path / "cluster") as cluster:
        place.write(f"cluster: [{', '.join(cluster.names)}]")
        assert (await place.run("callers", "import", "callers.csv")).status == 0
        gone = cluster.primaries[2]
        await gone.stop()
        told = await place.run("doctor")
    assert told.status == 2
    assert told.all_about(f"redis {gone.server}")[0].startswith("wrong"), told.text
    assert told.all_about(f"rights of {cluster.primaries[0].server}")[0].startswith("ok")


async def test_the_primary_that_sentinels_name_and_its_replicas_are_looked_at(place: Place, tmp_path: Path) -> None:
    async with RedisWithSentinels(tmp_path / "sentinels") as redis:
        place.write(f"sentinel: {{servers: [{', '.join(redis.names)}], service: {redis.service}}}")
        assert (await place.run("callers", "import", "callers.csv")).status == 0
        told = await place.run("doctor")
        (line,) = told.all_about("redis ")
        assert f"answers (the primary of {redis.service})" in line
        assert told.all_about("replicas of")[0].endswith("1, in step")
        assert told.all_about("sentinels: ")[0].endswith(f"3 of 3 name 127.0.0.1:{redis.primary.port}")
        await redis.sentinels[0].stop()
        told = await place.run("doctor")
        (line,) = told.all_about(f"sentinel {redis.sentinels[0].server}")
        assert line.startswith("warning")
        assert "2 of 3 name" in told.all_about("sentinels: ")[0]


async def test_the_users_that_are_shipped_may_do_what_is_looked_for(place: Place, tmp_path: Path) -> None:
    lines = (ROOT / "config" / "redis-users.acl").read_text().splitlines()
    users = [re.sub(r" on ", " on >open-sesame ", line, count=1) for line in lines if line.startswith("user ")]
    (tmp_path / "users.conf").write_text("\n".join(users) + "\n")
    (tmp_path / "redis.secret").write_text("open-sesame\n")
    (tmp_path / "redis.secret").chmod(0o600)
    redis = RedisServer(tmp_path / "redis")
    await redis.start("--include", str(tmp_path / "users.conf"))
    try:
        told = {}
        for user in ("elder-import", "elder-router"):
            place.write(f"redis: {redis.url}", f"username: {user}", "password_file: redis.secret")
            if user == "elder-import":
                imported = await place.run("callers", "import", "callers.csv")
                assert imported.status == 0, imported.text
            told[user] = await place.run("doctor")
        for each in told.values():
            assert each.all_about("rights of")[0].startswith("ok"), each.text
            assert each.all_about("registry: ")[0].startswith("ok"), each.text
        assert told["elder-import"].all_about("leftovers of")[0].startswith("ok")
        assert told["elder-router"].all_about("leftovers of")[0].endswith("this user may not look at keys (SCAN)")
    finally:
        await redis.stop()

"""The section `callers:` of the settings file: each mistake by its line, in these words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from router.callers.settings import DEFAULT_URL, PlainLayout
from router.errors import ConfigurationError
from router.settings import Settings, load_settings

BEFORE = """\
asterisk:
  - {name: pbx1, secret_file: ami.secret}
rules: routing.yaml
journal: {file: journal.jsonl, secret_file: state/callers.key}
callers:
"""
KEY = "`key`: the key must hold {e164} (like +8613900000001) or {digits} (like 8613900000001) once"
URL = "`redis` cannot be used; write redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=DB"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ami.secret").write_text("open sesame\n")
    (tmp_path / "redis.secret").write_text("of redis\n")
    return tmp_path


def loaded(folder: Path, *lines: str) -> Settings:
    file = folder / "elder-router.yaml"
    file.write_text(BEFORE + "".join(f"  {line}\n" for line in lines))
    return load_settings(file)


def mistakes(section: str) -> list[tuple[tuple[str, ...], str]]:
    """Cases written as the lines of the section, then what is said of them, behind an arrow."""
    cases: list[tuple[tuple[str, ...], str]] = []
    lines: list[str] = []
    said: list[str] = []
    for line in [*section.splitlines(), ""]:
        if line.startswith("→ "):
            said.append(line.removeprefix("→ "))
            continue
        if said:
            cases.append((tuple(lines), "\n".join(said)))
            lines, said = [], []
        lines.append(line)
    return cases


@pytest.mark.parametrize(
    ("lines", "said"),
    mistakes(
        f"""\
redis: redis://127.0.0.1:6379/0
cluster: [192.0.2.1:6379]
→ 7:12: `redis` and `cluster` are given; keep one of them
redis: redis://127.0.0.1:6379/0
cluster: [192.0.2.1:6379]
sentinel: {{servers: [192.0.2.1:26379], service: callers}}
→ 8:13: `redis` and `cluster` and `sentinel` are given; keep one of them
redis: 192.0.2.1:6379
→ 6:10: {URL}
redis: http://192.0.2.1
→ 6:10: {URL}
cluster: 192.0.2.1:6379
→ 6:12: `cluster` must be a list of HOST:PORT; found "192.0.2.1:6379"
cluster: []
→ 6:12: `cluster` must be a list of HOST:PORT; found an empty list
cluster: [192.0.2.1:0, 192.0.2.2:65536, "2001:db8::1:6379"]
→ 6:13: `cluster`: '192.0.2.1:0' is not of the form HOST:PORT, like 192.0.2.7:6379
→ 6:26: `cluster`: '192.0.2.2:65536' is not of the form HOST:PORT, like 192.0.2.7:6379
→ 6:43: `cluster`: '2001:db8::1:6379' is not of the form HOST:PORT, like 192.0.2.7:6379
cluster: [redis://192.0.2.1:6379]
→ 6:13: `cluster`: 'redis://192.0.2.1:6379' is not of the form HOST:PORT, like 192.0.2.7:6379
sentinel: {{servers: [192.0.2.1:26379]}}
→ 6:13: `service` is missing; it is a text that is not empty
sentinel: {{service: callers}}
→ 6:13: `servers` is missing; it is a list of HOST:PORT
sentinel: {{servers: [192.0.2.1], service: callers}}
→ 6:24: `servers`: '192.0.2.1' is not of the form HOST:PORT, like 192.0.2.7:6379
sentinel: {{servers: [192.0.2.1:26379], service: callers, database: -1}}
→ 6:70: `database` must be a whole number from 0; found -1
sentinel: {{servers: [192.0.2.1:26379], service: callers, password_env: NOT_SET_ANYWHERE}}
→ 6:74: the environment variable NOT_SET_ANYWHERE is not set, or is empty
password_file: missing.secret
→ 6:18: the secret cannot be read from missing.secret: No such file or directory
password_file: redis.secret
password_env: NOT_SET_ANYWHERE
→ 6:3: both `password_file` and `password_env` are given; keep one
username: ""
→ 6:13: `username` must be a text that is not empty; found ""
tls: {{certificate: router.pem}}
→ 6:8: `certificate` and `key` belong together; give both or neither
tls: {{key: router.key}}
→ 6:8: `certificate` and `key` belong together; give both or neither
tls: {{ca_file: missing.pem}}
→ 6:8: missing.pem is no file of certificates (ca_file): No such file or directory
tls: {{certificate: missing.pem, key: missing.key}}
→ 6:8: missing.pem with its key missing.key cannot be used (certificate, key): No such file or directory
tls: {{verify: maybe}}
→ 6:17: `verify` must be true or false; found "maybe"
prefer_replicas: "yes"
→ 6:20: `prefer_replicas` must be true or false; found "yes"
layout: clear
→ 6:11: `layout` must be one of buckets, plain; found "clear"
layout: plain
→ 6:11: `layout: plain` needs to know the keys; add `plain: {{key: "customer:{{e164}}:band"}}`
plain: {{key: "customer:{{e164}}"}}
→ 6:10: this does nothing without `layout: plain`; add that, or remove this
layout: plain
plain: {{}}
→ 7:10: `key` is missing; it is a key with {{e164}}
layout: plain
plain: {{key: "customer:band"}}
→ 7:16: {KEY}
layout: plain
plain: {{key: "customer:{{number}}"}}
→ 7:16: {KEY}
layout: plain
plain: {{key: "{{e164}}:{{digits}}"}}
→ 7:16: {KEY}
layout: plain
plain: {{key: "customer:{{e164!r}}"}}
→ 7:16: {KEY}
layout: plain
plain: {{key: "customer:{{e164:>20}}"}}
→ 7:16: {KEY}
layout: plain
plain: {{key: "customer:{{e164:}}"}}
→ 7:16: {KEY}
layout: plain
plain: {{key: "customer:{{"}}
→ 7:16: {KEY}
layout: plain
plain: {{key: "customer:{{e164}}", bands: [S, senior]}}
→ 7:42: `bands` must be a group like {{S: senior}}; found a list
feed: {{dates: DD.MM.YYYY}}
→ 6:17: `dates` must be one of YYYY-MM-DD, YYYYMMDD, DD/MM/YYYY, MM/DD/YYYY; found "DD.MM.YYYY"; did you mean \
`DD/MM/YYYY`?
feed: {{separator: "::"}}
→ 6:21: `separator` must be "," or ";" or "|" or a tab, written "\\t"; found "::"
feed: {{columns: {{phone: tel}}}}
→ 6:20: unknown key `phone`; the keys here are number, birth_date, age_band, removed
feed: {{columns: {{number: ""}}}}
→ 6:28: `number` must be a column's name, as the feed's first line has it; found ""
feed: {{most_change_percent: 0}}
→ 6:31: `most_change_percent` must be a number up to 100; found 0
feed: {{most_change_percent: 5%}}
→ 6:31: `most_change_percent` must be a number up to 100; found "5%"
feed: {{removed_words: []}}
→ 6:25: `removed_words` must be a list of words; found an empty list
home_region: Hongkong
→ 6:16: `home_region`: no region is called 'Hongkong'; write two capital letters, like CN or GB
stale_after: 36
→ 6:16: `stale_after`: 36 has no unit; write 36s for seconds, or ms, m, h, d
stale_after: 1s
→ 6:16: `stale_after` must be a time from 1m to 3660d, like 36h; found "1s"
choice_kept: 0s
→ 6:16: `choice_kept` must be a time from 1m to 3660d, like 180d; found "0s"
secret_file: ""
→ 6:16: `secret_file` must be a file's path, from this file's folder; found ""
work_folder: [imports]
→ 6:16: `work_folder` must be a file's path, from this file's folder; found a list"""
    ),
)
def test_each_mistake_is_told_by_its_line(folder: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, *lines)
    told = str(caught.value).replace(f"{folder}/", "").replace("elder-router.yaml:", "").replace(" error:", "")
    assert told == said


def test_an_asterisks_own_region_is_checked_too(folder: Path) -> None:
    file = folder / "elder-router.yaml"
    file.write_text(BEFORE.replace("{name: pbx1,", "{name: pbx1, home_region: hk,") + "  home_region: CN\n")
    with pytest.raises(ConfigurationError, match=r"2:31: error: `home_region`: no region is called 'hk'"):
        load_settings(file)


def test_what_is_not_written_is_as_usual(folder: Path) -> None:
    registry = loaded(folder, "home_region: CN").registry
    assert (registry.redis.url, registry.redis.cluster, registry.redis.sentinels) == (DEFAULT_URL, (), ())
    assert (registry.redis.username, registry.redis.tls, registry.redis.prefer_replicas) == (None, None, False)
    assert (registry.layout, registry.stale_after_s, registry.choice_kept_s) == ("buckets", 36 * 3600, 180 * 86_400)
    assert registry.secret_file == folder / "state" / "registry.secrets"
    assert registry.work_folder == folder / "state" / "import"
    assert (registry.feed.number, registry.feed.file, registry.feed.most_change_percent) == ("number", None, 5.0)


def test_a_cluster_with_its_user_and_tls(folder: Path) -> None:
    key, certificate = folder / "router.key", folder / "router.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=router.example", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    redis = loaded(
        folder,
        'cluster: [192.0.2.1:6379, "[2001:db8::2]:6379"]',
        "username: elder-router",
        "password_file: redis.secret",
        "tls: {ca_file: router.pem, certificate: router.pem, key: router.key, verify: false}",
        "prefer_replicas: true",
    ).registry.redis
    assert redis.cluster == ("192.0.2.1:6379", "[2001:db8::2]:6379")
    assert (redis.username, redis.password, redis.prefer_replicas) == ("elder-router", "of redis", True)
    assert redis.tls is not None
    assert (redis.tls.ca_file, redis.tls.certificate, redis.tls.key, redis.tls.verify) == (
        *(certificate, certificate, key, False),
    )


def test_sentinels_with_a_password_of_their_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_PASSWORD", "of the sentinels")
    redis = loaded(
        folder,
        "sentinel: {servers: [192.0.2.1:26379], service: callers, database: 2, password_env: SENTINEL_PASSWORD}",
        "password_file: redis.secret",
    ).registry.redis
    assert (redis.sentinels, redis.service, redis.database) == (("192.0.2.1:26379",), "callers", 2)
    assert (redis.password, redis.sentinel_password) == ("of redis", "of the sentinels")


def test_keys_that_another_system_writes(folder: Path) -> None:
    registry = loaded(
        folder,
        "layout: plain",
        'plain: {key: "{{crm}}:customer:{digits}", hash_field: band, bands: {S: senior, E: elder}}',
    ).registry
    assert isinstance(registry.layout, PlainLayout)
    assert registry.layout.key.format(e164="+8613900000001", digits="8613900000001") == "{crm}:customer:8613900000001"
    assert (registry.layout.hash_field, dict(registry.layout.bands)) == ("band", {"S": "senior", "E": "elder"})


def test_what_a_feed_looks_like(folder: Path) -> None:
    feed = loaded(
        folder,
        "feed:",
        "  file: /srv/crm/customers.csv.gz",
        "  columns: {number: msisdn, birth_date: dob, age_band: tier, removed: deleted}",
        "  bands: {S: senior}",
        '  removed_words: ["Y", "J"]',
        "  dates: YYYYMMDD",
        '  separator: "\\t"',
        "  most_change_percent: 12.5",
    ).registry.feed
    assert feed.file == Path("/srv/crm/customers.csv.gz")
    assert (feed.number, feed.birth_date, feed.age_band, feed.removed) == ("msisdn", "dob", "tier", "deleted")
    assert (dict(feed.bands), feed.removed_words, feed.date_form) == ({"S": "senior"}, ("Y", "J"), "YYYYMMDD")
    assert (feed.separator, feed.most_change_percent) == ("\t", 12.5)


def test_a_repr_shows_no_password(folder: Path) -> None:
    assert "of redis" not in repr(loaded(folder, "password_file: redis.secret").registry)

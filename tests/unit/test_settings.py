from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from router.errors import ConfigurationError
from router.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
SECRET = "open sesame 47"
GOOD = """\
asterisk:
  - name: pbx1
    secret_file: ami.secret
callers:
  redis: redis://127.0.0.1:6379/0
rules: routing.yaml
journal:
  file: journal.jsonl
  secret_file: callers.key
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ami.secret").write_text(f"{SECRET}\n")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    file = folder / "elder-router.yaml"
    file.write_text(text)
    return file


def loaded(folder: Path, text: str = GOOD) -> Settings:
    return load_settings(written(folder, text))


def said(folder: Path, text: str) -> str:
    """What is said of a settings file, without the folder's name."""
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, text)
    return str(caught.value).replace(f"{folder}/", "")


def changed(line: str, to: str) -> str:
    assert GOOD.count(line) == 1
    return GOOD.replace(line, to)


def test_what_is_not_written_is_as_usual(folder: Path) -> None:
    settings = loaded(folder)
    (link,) = settings.links
    assert (link.name, link.host, link.port, link.username, link.auth) == (
        *("pbx1", "127.0.0.1", 5038, "elder-router", "md5"),
    )
    assert (link.secret, link.tls) == (SECRET, None)
    registry = settings.registry
    assert (registry.redis.password, registry.deadline_s, registry.home_region) == (None, 0.05, "CN")
    assert registry.choice_kept_s == 180 * 86_400
    assert not settings.full_numbers


def test_paths_are_relative_to_the_file_wherever_one_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (inner / "ami.secret").write_text("inner")
    written(inner, changed("journal.jsonl", "/var/log/journal.jsonl"))
    monkeypatch.chdir(folder)
    settings = load_settings(Path("inner/elder-router.yaml"))
    assert settings.links[0].secret == "inner"
    assert settings.rules_file == inner / "routing.yaml"
    assert settings.journal_secret_file == inner / "callers.key"
    assert settings.journal_file == Path("/var/log/journal.jsonl")


def test_everything_can_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBX2_SECRET", "from the environment")
    (folder / "redis.secret").write_text("redis password\n")
    settings = loaded(
        folder,
        """\
asterisk:
  - {name: pbx1, secret_file: ami.secret}
  - {name: pbx2, host: pbx2.example, port: 5039, username: me, secret_env: PBX2_SECRET, auth: plain, home_region: HK,
     tls: {verify: false, server_name: pbx}}
callers: {redis: "rediss://r:6380/1", password_file: redis.secret, lookup_deadline: 20ms, home_region: GB,
          choice_kept: 30d}
rules: routing.yaml
journal: {file: j, secret_file: k, full_numbers: true}
""",
    )
    second = settings.links[1]
    assert (second.host, second.port, second.username, second.auth) == ("pbx2.example", 5039, "me", "plain")
    assert second.secret == "from the environment"
    assert second.tls is not None
    assert (second.tls.verify, second.tls.server_name, second.tls.ca_file) == (False, "pbx", None)
    registry = settings.registry
    assert (registry.redis.url, registry.redis.password) == ("rediss://r:6380/1", "redis password")
    assert (registry.deadline_s, registry.home_region, settings.full_numbers) == (0.02, "GB", True)
    assert registry.choice_kept_s == 30 * 86_400
    assert (settings.home_region("pbx1"), settings.home_region("pbx2")) == ("GB", "HK")


def test_the_shipped_file_lacks_nothing_but_its_secret() -> None:
    shipped = ROOT / "config" / "elder-router.yaml"
    with pytest.raises(ConfigurationError) as caught:
        load_settings(shipped)
    (problem,) = caught.value.problems
    assert "ami.secret: No such file or directory" in problem.message


def test_the_shipped_file_shows_the_usual_values(tmp_path: Path) -> None:
    (tmp_path / "ami.secret").write_text(SECRET)
    shipped, bare = loaded(tmp_path, (ROOT / "config" / "elder-router.yaml").read_text()), loaded(tmp_path)
    assert shipped.links == bare.links
    state = shipped.journal_secret_file.parent
    registry = replace(bare.registry, secret_file=state / "registry.secrets", work_folder=state / "import")
    assert (shipped.registry, shipped.rules_file) == (registry, bare.rules_file)
    assert shipped.full_numbers == bare.full_numbers


def test_the_history_of_the_rules_lies_beside_the_routers_own_secret_unless_told_otherwise(folder: Path) -> None:
    settings = loaded(folder, changed("secret_file: callers.key", "secret_file: /var/lib/elder-router/callers.key"))
    assert settings.rules_history == Path("/var/lib/elder-router/rules-history")
    assert (settings.rules_tests, settings.metrics) == (None, None)
    settings = loaded(folder, GOOD + "rules_history: kept\nrules_tests: cases.yaml\n")
    assert (settings.rules_history, settings.rules_tests) == (folder / "kept", folder / "cases.yaml")


@pytest.mark.parametrize(
    ("line", "address", "port", "column"),
    [
        ("metrics: {port: 9200, address: 0.0.0.0}", "0.0.0.0", 9200, 17),  # noqa: S104 - for a Prometheus elsewhere
        ('metrics: {address: "::1"}', "::1", 9105, 10),
        ("metrics: {}", "127.0.0.1", 9105, 10),
    ],
)
def test_metrics_are_served_where_the_file_says_and_remember_its_line(
    folder: Path, line: str, address: str, port: int, column: int
) -> None:
    metrics = loaded(folder, f"{GOOD}{line}\n").metrics
    assert metrics is not None
    assert (metrics.address, metrics.port, metrics.line, metrics.column) == (address, port, 10, column)
    assert metrics.file == str(folder / "elder-router.yaml")


def test_the_control_socket_is_relative_to_the_file_and_there_is_none_unless_it_is_named(folder: Path) -> None:
    assert loaded(folder).control_socket is None
    assert loaded(folder, GOOD + "control: {socket: control.sock}\n").control_socket == folder / "control.sock"
    shipped = (ROOT / "config" / "elder-router.yaml").read_text()
    assert loaded(folder, shipped).control_socket == Path("/run/elder-router/control.sock")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("control: {}", "10:10: error: `socket` is missing; it is a file's path, from this file's folder"),
        ("control: on.sock", '10:10: error: `control` must be a group of keys (socket); found "on.sock"'),
        (
            f"control: {{socket: /run/{'x' * 103}}}",
            "10:19: error: the socket's whole path is 108 bytes long, and Linux takes 107 at most; "
            "write a shorter one, like /run/elder-router/control.sock",
        ),
    ],
)
def test_a_control_socket_that_cannot_be_is_told(folder: Path, line: str, message: str) -> None:
    assert said(folder, f"{GOOD}{line}\n") == f"elder-router.yaml:{message}"


def test_a_control_socket_as_long_as_linux_takes_is_taken(folder: Path) -> None:
    assert loaded(folder, f"{GOOD}control: {{socket: /run/{'x' * 102}}}\n").control_socket is not None


def test_an_address_of_the_metrics_that_is_none_is_told(folder: Path) -> None:
    assert said(folder, GOOD + "metrics: {address: localhost}\n") == (
        "elder-router.yaml:10:20: error: `address`: 'localhost' is no IP address; "
        "write one of this machine, like 127.0.0.1"
    )


def test_the_shipped_file_has_every_key_or_names_it_in_a_comment() -> None:
    text = (ROOT / "config" / "elder-router.yaml").read_text()
    for key in (
        "secret_env",
        "tls",
        "ca_file",
        "password_file",
        "lookup_deadline",
        "home_region",
        "choice_kept",
        "full_numbers",
        "rules_tests",
        "rules_history",
        "metrics",
    ):
        assert re.search(rf"\b{key}\b", text)


NAME = "a name of letters, digits, - and _, like pbx1"
REDIS = "redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=DB"


@pytest.mark.parametrize(
    ("line", "to", "message"),
    [
        (
            "    secret_file: ami.secret",
            "    secret_fil: ami.secret",
            "3:5: error: unknown key `secret_fil`; did you mean `secret_file`? the keys here are name, host, port, "
            "username, home_region, secret_file, secret_env, auth, tls",
        ),
        (
            "    secret_file: ami.secret\n",
            "",
            "2:5: error: the AMI secret is missing: add `secret_file: FILE` or `secret_env: VARIABLE`",
        ),
        (
            "    secret_file: ami.secret",
            "    secret_file: ami.secret\n    secret_env: HOME",
            "2:5: error: both `secret_file` and `secret_env` are given; keep one",
        ),
        (
            "secret_file: ami.secret",
            "secret_file: none.secret",
            "3:18: error: the secret cannot be read from none.secret: No such file or directory",
        ),
        (
            "secret_file: ami.secret",
            "secret_env: ELDER_ROUTER_UNSET",
            "3:17: error: the environment variable ELDER_ROUTER_UNSET is not set, or is empty",
        ),
        (
            "secret_file: ami.secret",
            "secret_env: PBX-SECRET",
            '3:17: error: `secret_env` must be the name of an environment variable; found "PBX-SECRET"',
        ),
        (
            "    secret_file: ami.secret",
            "    secret_file: ami.secret\n  - {name: pbx1, secret_file: ami.secret}",
            "4:12: error: `pbx1` is named twice; each needs its own name",
        ),
        ("name: pbx1", 'name: "pbx 1"', f'2:11: error: `name` must be {NAME}; found "pbx 1"'),
        (
            "    secret_file: ami.secret",
            "    secret_file: ami.secret\n    port: 65536",
            "4:11: error: `port` must be a port number from 1 to 65535; found 65536",
        ),
        (
            "    secret_file: ami.secret",
            '    secret_file: ami.secret\n    port: "5038"',
            '4:11: error: `port` must be a port number from 1 to 65535; found "5038"',
        ),
        (
            "    secret_file: ami.secret",
            "    secret_file: ami.secret\n    auth: MD5",
            '4:11: error: `auth` must be one of md5, plain; found "MD5"; did you mean `md5`?',
        ),
        (
            "    secret_file: ami.secret",
            "    secret_file: ami.secret\n    tls: true",
            "4:10: error: `tls` must be a group of keys (ca_file, verify, server_name); found true",
        ),
        (
            "    secret_file: ami.secret",
            "    secret_file: ami.secret\n    tls: {verify: 1}",
            "4:19: error: `verify` must be true or false; found 1",
        ),
        (
            "    secret_file: ami.secret",
            "    secret_file: ami.secret\n    tls: {ca_file: ca.pem}",
            "4:20: error: ca.pem: no certificates can be read from it: [Errno 2] No such file or directory",
        ),
        (
            "callers:",
            "callers:\n  home_region: China",
            "5:16: error: `home_region`: no region is called 'China'; write two capital letters, like CN or GB",
        ),
        (
            "callers:",
            "callers:\n  lookup_deadline: 50",
            "5:20: error: `lookup_deadline`: 50 has no unit; write 50s for seconds, or ms, m, h, d",
        ),
        (
            "callers:",
            "callers:\n  lookup_deadline: 2s",
            '5:20: error: `lookup_deadline` must be a time from 1ms to 1500ms, as the dialplan waits 2s; found "2s"',
        ),
        (
            "callers:",
            "callers:\n  lookup_deadline: 0ms",
            '5:20: error: `lookup_deadline` must be a time from 1ms to 1500ms, as the dialplan waits 2s; found "0ms"',
        ),
        ("redis: redis:", "redis: http:", f"5:10: error: `redis` cannot be used; write {REDIS}"),
        (
            "rules: routing.yaml",
            'rules: ""',
            "6:8: error: `rules` must be a file's path, from this file's folder; found \"\"",
        ),
        (
            "rules: routing.yaml\n",
            "",
            "1:1: error: `rules` is missing; it is a file's path, from this file's folder",
        ),
        (
            "  secret_file: callers.key",
            "  secret_file: callers.key\n  full_numbers: yes",
            '10:17: error: yes means true to some programs and is a word to others; write true, or "yes" in quotes '
            "if you mean the word",
        ),
        (
            "journal:\n  file: journal.jsonl\n  secret_file: callers.key\n",
            "",
            "1:1: error: `journal` is missing; it is a group like {file: journal.jsonl, secret_file: callers.key}",
        ),
        (
            "asterisk:\n  - name: pbx1\n    secret_file: ami.secret\n",
            "asterisk: []\n",
            "1:11: error: `asterisk` must be a list of one or more; found an empty list",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_write(folder: Path, line: str, to: str, message: str) -> None:
    assert said(folder, changed(line, to)) == f"elder-router.yaml:{message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ami.secret must hold the secret as one line, and nothing else"),
        (b" \n\n", "ami.secret must hold the secret as one line, and nothing else"),
        (b"secret = abc\n", "ami.secret must hold the secret alone, without `secret =`"),
        (b"one\ntwo\n", "ami.secret must hold the secret as one line, and nothing else"),
        (b"one\r\ntwo\r\n", "ami.secret must hold the secret as one line, and nothing else"),
        (b"one\rtwo", "ami.secret must hold the secret as one line, and nothing else"),
        (b"x" * 4097, "ami.secret must hold the secret as one line, and nothing else"),
        (b"\xff\xfe\x00", "ami.secret holds no text; write the secret into it as one line"),
    ],
)
def test_a_secret_file_that_holds_no_one_line_is_told(folder: Path, content: bytes, message: str) -> None:
    (folder / "ami.secret").write_bytes(content)
    assert said(folder, GOOD) == f"elder-router.yaml:3:18: error: {message}"


def test_a_secret_that_may_not_be_read_is_told(folder: Path) -> None:
    (folder / "ami.secret").unlink()
    (folder / "ami.secret").mkdir()
    assert said(folder, GOOD) == (
        "elder-router.yaml:3:18: error: the secret cannot be read from ami.secret: Is a directory"
    )


@pytest.mark.parametrize("content", [f"  {SECRET}  \n", f"{SECRET}", f"{SECRET}\r\n"])
def test_white_space_around_a_secret_is_not_part_of_it(folder: Path, content: str) -> None:
    (folder / "ami.secret").write_text(content, newline="")
    assert loaded(folder).links[0].secret == SECRET


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml: error: there is no such file; check the path$"):
        load_settings(tmp_path / "none.yaml")


def test_all_mistakes_are_told_at_once_in_the_files_order(folder: Path) -> None:
    text = """\
asterisk:
  - {name: a, secret_file: none.secret}
  - {name: a, secret_env: ELDER_ROUTER_UNSET}
  - {name: b, secret_file: ami.secret, tls: {ca_file: ami.secret}}
callers: {redis: "nowhere", password_file: none.secret}
rules: routing.yaml
journal: {file: j, secret_file: k}
"""
    assert re.findall(r":(\d+:\d+): error:", said(folder, text)) == ["2:28", "3:12", "3:27", "4:55", "5:18", "5:44"]
    text = "asterisk: [{name: '', port: 0}]\ncallers: {home_region: X}\nrulez: r\n"
    assert re.findall(r"`(\w+)`[ :;]", said(folder, text)) == [
        *("journal", "name", "port", "home_region", "rulez"),
    ]


def test_secrets_are_in_no_repr(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "hush hush")
    text = changed("redis://127", "redis://me:in-the-url@127").replace(
        "rules:", "  password_env: REDIS_PASSWORD\nrules:"
    )
    settings = loaded(folder, text)
    assert settings.registry.redis.password == "hush hush"
    shown = repr(settings) + str(settings)
    for secret in (SECRET, "hush hush", "in-the-url"):
        assert secret not in shown


@pytest.mark.parametrize(
    "text",
    [
        changed("    secret_file: ami.secret", "    secret_file: two.secret"),
        changed("    secret_file: ami.secret", f"    secret: {SECRET}"),
        changed("    secret_file: ami.secret", "    secret_env: MY_SECRET\n    secret_file: two.secret"),
        changed("redis://127.0.0.1:6379/0", f'"nonsense://me:{SECRET}@host"'),
        changed("redis://127.0.0.1:6379/0", f'"redis://me:{SECRET}@host:port/0"'),
        changed("    secret_file: ami.secret", "    secret_file: ami.secret\n    tls: {ca_file: two.secret}"),
    ],
)
def test_secrets_are_in_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MY_SECRET", SECRET)
    (folder / "two.secret").write_text(f"{SECRET}\n{SECRET}\n")
    assert SECRET not in said(folder, text)

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lab.redis import RedisServer
from lab.registry import load
from router.callers.number import Caller, PhoneNumber
from router.callers.registry import BandLookup, BandSource, open_registry
from router.callers.secret_ring import SecretRing, load_or_create_ring
from router.callers.settings import RedisSettings, RegistrySettings
from router.callers.stored import Visit
from router.cli.explain import explain
from router.journal.hashing import load_or_create_secret
from router.rules.book import load_rules

RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}]
protected: [senior]
speech: {unhurried: {rate: 0.85}}
targets:
  people: {queue: agents}
  care: {queue: senior-care, overflow: {after: 60s, to: people}}
  assistant: {context: router-assistant}
rules:
  - {name: "[bold]VIP[/bold]", when: {caller: "+44*"}, then: {to: people}}
  - {name: seniors, when: {age_band: senior}, then: {to: care, head_start: 5m, speech: unhurried, agent_label: 60+}}
  - {name: rest, then: {to: assistant}}
fallback: {to: people}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "routing.yaml"
    path.write_text(RULES, encoding="utf-8")
    return path


def run(rules: Path, *arguments: str) -> Result:
    return CliRunner().invoke(explain, ["--rules", str(rules), "--called", "95519", *arguments], env={"COLUMNS": "100"})


def as_json(rules: Path, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    result = run(rules, "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def lines(result: Result) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines() if line.strip()]


def test_every_rule_is_shown_with_its_answer_and_then_the_result(rules: Path) -> None:
    result = run(rules, "--caller", "13912345678", "--band", "senior", "--at", "2026-11-23 09:00")
    assert result.exit_code == 0
    assert lines(result) == [
        "call supposed: nobody called",
        "caller +86139****5678",
        "age band senior (given)",
        "called 95519",
        "language en",
        "at Monday 2026-11-23 09:00 CST",
        "rule answer",
        "1 [bold]VIP[/bold] caller is +86139****5678, not +44*",
        "2 seniors matched",
        "3 rest not asked",
        "rule seniors",
        "target care: queue senior-care, after 60 s queue agents",
        "head start 300 s",
        "speech unhurried (rate 0.85)",
        "agent label 60+",
        f"rules version {load_rules(rules).version}",
    ]


def test_the_full_number_is_never_shown(rules: Path) -> None:
    for extra in ((), ("--json",)):
        assert "13912345678" not in run(rules, "--caller", "13912345678", "--band", "adult", *extra).output


def test_json_holds_the_facts_and_the_decision_with_its_trace(rules: Path) -> None:
    answer = as_json(
        rules, "--caller", "", "--band", "unknown", "--at", "2026-11-23T01:00:00+00:00", "--language", "zh"
    )
    assert answer["facts"] == {
        "caller": "anonymous",
        "called": "95519",
        "language": "zh",
        "age_band": None,
        "age_band_source": "given",
        "at": "2026-11-23T09:00:00+08:00",  # in the time zone of the rules
        "queues": {},
        "earlier_calls_s": None,
        "choice": None,
        "rollout": None,
    }
    decision = answer["decision"]
    assert decision["rule"] == "rest"
    assert decision["target"] == {"kind": "context", "name": "assistant", "context": "router-assistant"}
    assert [(entry["rule"], entry["matched"]) for entry in decision["trace"]] == [
        ("[bold]VIP[/bold]", False),
        ("seniors", False),
        ("rest", True),
    ]


def test_a_time_without_a_zone_is_in_the_rules_time_zone(rules: Path) -> None:
    answer = as_json(rules, "--caller", "", "--band", "unknown", "--at", "2026-11-23 09:00")
    assert answer["facts"]["at"] == "2026-11-23T09:00:00+08:00"


def test_the_home_region_completes_the_number(rules: Path) -> None:
    answer = as_json(rules, "--caller", "07911123456", "--band", "adult", "--home-region", "GB")
    assert answer["decision"]["rule"] == "[bold]VIP[/bold]"


@pytest.mark.parametrize("option", ["--called", "--language"])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_nothing_of_an_option_reaches_the_terminal_as_a_command(
    rules: Path, option: str, form: tuple[str, ...]
) -> None:
    result = run(rules, "--caller", "", "--band", "adult", *form, option, "\x1b[2J\x9b2J\udcff\u2028")
    assert result.exit_code == 0
    assert r"\u001b[2J\u009b2J\udcff\u2028" in result.stdout


class _Registry:
    """Stands where Redis would be asked."""

    def __init__(self, band: str) -> None:
        self._band = band

    async def __aenter__(self) -> _Registry:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        return None

    async def lookup(self, caller: Caller) -> BandLookup:  # noqa: ARG002 - the registry's signature
        return BandLookup(self._band, BandSource.REGISTRY, "", 0.0)


def test_without_a_band_the_registry_is_asked(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def opened(settings: RegistrySettings, _ring: SecretRing, **_patience: float) -> _Registry:
        asked.append(settings.redis.url)
        return _Registry("senior")

    load_or_create_ring(rules.with_name("registry.secrets"))

    # By its module's name, as tests elsewhere do.
    monkeypatch.setattr(sys.modules["router.cli.options"], "open_registry", opened)
    secrets = ("--secrets", str(rules.with_name("registry.secrets")))
    answer = as_json(rules, "--caller", "13912345678", "--redis", "redis://example.invalid/3", *secrets)
    assert answer["decision"]["rule"] == "seniors"
    assert answer["facts"]["age_band_source"] == "registry"
    assert asked == ["redis://example.invalid/3"]


def test_redis_password_file_is_read_only_when_redis_is_asked(rules: Path) -> None:
    missing = ("--caller", "13912345678", "--redis-password-file", str(rules.with_name("none")))
    assert run(rules, *missing, "--band", "adult").exit_code == 0
    result = run(rules, *missing)
    assert (result.exit_code, result.stdout) == (2, "")
    told = " ".join(result.stderr.split())
    assert f"{rules.with_name('none')}: error: the password of Redis cannot be read: No such file or directory" in told
    assert told.endswith("the registry cannot be asked without; name the band with --band")


def test_without_the_secrets_the_registry_cannot_be_asked_and_that_is_told(rules: Path) -> None:
    missing = ("--caller", "13912345678", "--secrets", str(rules.with_name("none")))
    assert run(rules, *missing, "--band", "adult").exit_code == 0
    result = run(rules, *missing)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{rules.with_name('none')}: error: the secrets of the registry cannot be read" in result.stderr


def test_a_registry_that_is_down_means_an_unknown_band_and_says_so(rules: Path) -> None:
    load_or_create_ring(rules.with_name("registry.secrets"))
    secrets = ("--secrets", str(rules.with_name("registry.secrets")))
    with socket.socket() as taken:  # bound and not listening: refused at once, and nobody else can take it
        taken.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
        answer = as_json(rules, "--caller", "13912345678", "--redis", url, *secrets)
    assert answer["facts"]["age_band"] is None
    assert answer["facts"]["age_band_source"].startswith("lookup_failed: ")
    assert answer["decision"]["rule"] == "rest"


SITUATIONS = RULES.replace(
    "rules:\n",
    """calendars: {open: {hours: "Mo-Fr 09:00-21:00", holidays: CN}}
rules:
  - {name: busy, when: {queue: {people: {waiting_over: 10, agents_free_under: 1}}}, then: {to: care}}
  - {name: again, when: {repeat: {calls: 3, within: 24h}}, then: {to: people, note: calls again and again}}
  - {name: asked, when: {choice: person, calendar: open}, then: {to: people, language: zh}}
  - {name: trial, when: {rollout: 20%, outside_calendar: open}, then: {to: people}}
""",
)


def test_every_fact_that_a_rule_asks_for_can_be_supposed_and_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(SITUATIONS, encoding="utf-8")
    here = ("--caller", "13900000001", "--band", "adult", "--at", "2026-11-23 10:00", "--rollout", "15%")
    shown = lines(run(path, *here, "--queue", "people:waiting=12,longest_wait=4m", "--earlier", "2h"))
    assert "calendars open open" in shown
    assert "choice remembered none" in shown
    assert "earlier calls 2h ago" in shown
    assert "roll-out place 15.00" in shown
    assert "queue people 12 waiting, longest 4m, 0 free" in shown
    assert "rule busy" in shown
    assert "1 busy queue is people: not known, not people: waiting over 10, agents free under 1" in lines(
        run(path, *here)
    )
    twice = lines(run(path, *here, "--earlier", "2h", "--earlier", "5m"))
    assert "note calls again and again" in twice
    asked = lines(run(path, *here, "--choice", "person"))
    assert "rule asked" in asked
    assert asked.count("language zh") == 1
    evening = lines(run(path, *here[:4], "--at", "2026-11-23 22:00", "--rollout", "15%"))
    assert "rule trial" in evening
    assert "rule rest" in lines(run(path, *here[:4], "--at", "2026-11-23 22:00", "--rollout", "20%"))


def test_the_callers_own_choice_of_speech_is_told_with_what_the_rule_says(rules: Path) -> None:
    rules.write_text(rules.read_text().replace("speech: {", "speech: {slow: {rate: 0.7}, "))
    here = ("--caller", "+8613912345678", "--called", "95519", "--band", "senior")
    shown = lines(run(rules, *here, "--choice", "slower:slow"))
    assert "choice remembered slower (slow)" in shown
    assert "speech slow (rate 0.7; the caller's own choice; the rule says unhurried)" in shown
    decision = as_json(rules, *here, "--choice", "slower:slow")["decision"]
    assert (decision["speech"]["name"], decision["speech_from"]) == ("slow", "choice")
    assert "speech unhurried (rate 0.85)" in lines(run(rules, *here, "--choice", "person"))


def test_a_roll_out_place_is_the_callers_own_and_needs_the_key(tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(SITUATIONS, encoding="utf-8")
    secret = tmp_path / "callers.key"
    load_or_create_secret(secret)
    here = ("--caller", "13900000001", "--band", "adult")
    places = {as_json(path, *here, "--secret-file", str(secret))["facts"]["rollout"] for _ in range(2)}
    assert len(places) == 1
    result = run(path, *here)
    assert result.exit_code == 2
    assert "--rollout 15%" in result.stderr
    assert run(path, *here, "--secret-file", str(tmp_path / "none")).exit_code == 2
    assert run(path, "--caller", "", "--band", "adult").exit_code == 0, "nobody without a number has a place"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--queue", "people", "write a target and its state, like people:waiting=12"),
        ("--queue", "peple:waiting=1", "did you mean `people`?"),
        ("--queue", "assistant:waiting=1", "the targets that are one are people, care"),
        ("--queue", "people:waitin=1", "did you mean `waiting`?"),
        ("--queue", "people:waiting=many", "waiting: write a whole number, like 12, not 'many'"),
        ("--queue", "people:longest_wait=4", "4 has no unit; write 4s"),
        ("--queue", "people:waiting=-5", "waiting: write a whole number, like 12, not '-5'"),
        ("--queue", "people:waiting=９", "waiting: write a whole number"),
        ("--queue", "people:waiting=0,longest_wait=5m", "where nobody waits there is no longest wait"),
        ("--at", "9999-12-31T23:59+00:00", "write a year from 2000 to 2100"),
        ("--at", "0001-01-01T01:00+08:00", "write a year from 2000 to 2100"),
        ("--earlier", "2", "2 has no unit"),
        ("--rollout", "120%", "write a place from 0%"),
        ("--choice", "louder", "'louder' is not one of"),
    ],
)
def test_what_cannot_be_supposed_says_what_can(rules: Path, option: str, value: str, said: str) -> None:
    result = run(rules, "--caller", "", "--band", "adult", option, value)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_a_queue_is_given_once(rules: Path) -> None:
    twice = ("--queue", "people:waiting=1", "--queue", "people:waiting=2")
    result = run(rules, "--caller", "", "--band", "adult", *twice)
    assert result.exit_code == 2
    assert "the queue of people is given twice" in result.stderr


def test_of_a_call_without_a_number_neither_choice_nor_earlier_calls_are_known(tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(RULES.replace("rules:\n", "rules:\n  - {name: c, when: {choice: none}, then: {to: people}}\n"))
    withheld = as_json(path, "--band", "adult")
    assert (withheld["decision"]["rule"], withheld["facts"]["choice"]) == ("rest", None)
    assert as_json(path, "--caller", "13900000001", "--band", "adult")["decision"]["rule"] == "c"
    assert as_json(path, "--band", "adult", "--choice", "none")["decision"]["rule"] == "c"


def test_what_the_registry_holds_of_a_caller_counts_and_the_asking_does_not(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(SITUATIONS, encoding="utf-8")
    caller = PhoneNumber("+8613900000001")

    async def told() -> list[dict[str, Any]]:
        secrets = tmp_path / "registry.secrets"
        ring = load_or_create_ring(secrets)
        async with (
            RedisServer(tmp_path_factory.mktemp("redis")) as server,
            open_registry(RegistrySettings(RedisSettings(server.url), secrets), ring) as registry,
        ):
            await load(server.url, ring, {caller: "adult"})
            await registry.choose(caller, "slower")
            for ago_s in (7200.0, 300.0):
                await registry.lookup(caller, Visit(f"pbx1/{ago_s}", time.time() - ago_s, 86_400.0))
            options = ("--caller", caller.e164, "--redis", server.url, "--secrets", str(secrets), "--rollout", "1%")
            found = [await asyncio.to_thread(as_json, path, *options) for _ in range(2)]
            return [*found, await asyncio.to_thread(as_json, path, *options, "--earlier", "2h")]

    first, again, given = asyncio.run(told())
    assert first["decision"]["rule"] == again["decision"]["rule"] == "again"
    assert first["facts"]["earlier_calls_s"] == pytest.approx([300.0, 7200.0], abs=60)
    assert first["facts"]["choice"] == "slower"
    assert given["facts"]["earlier_calls_s"] == [7200.0]


def test_wrong_options_exit_2_and_say_what_is_right(rules: Path) -> None:
    load_or_create_ring(rules.with_name("registry.secrets"))
    cases = {
        ("--band", "sinior"): "did you mean `senior`?",
        ("--band", "adult", "--at", "tomorrow"): "write a time like",
        ("--band", "adult", "--home-region", "XX"): "two-letter code",
        ("--redis", "nonsense", "--secrets", str(rules.with_name("registry.secrets"))): "write redis://HOST:PORT/DB",
    }
    for arguments, message in cases.items():
        result = run(rules, "--caller", "13912345678", *arguments)
        assert result.exit_code == 2, arguments
        assert message in result.stderr, arguments


def test_rules_with_a_mistake_are_not_explained(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(RULES.replace("to: care", "to: cares"), encoding="utf-8")
    result = run(path, "--caller", "", "--band", "unknown")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"{path}:11:" in result.stderr
    assert "did you mean `care`?" in result.stderr

"""Who has the token sees the wallboard, and nobody finds it out by trying."""

from __future__ import annotations

import pytest

from router.web.wallboard import access as module
from router.web.wallboard.access import COOKIE_S, MOST_WRONG, WRONG_WITHIN_S, Access, is_named_so

TOKEN = "b7e2-made-up"


class Clock:
    now = 1_800_000_000.0


def guarded(clock: Clock, token: str = TOKEN) -> Access:
    return Access(token, wall_clock=lambda: clock.now, monotonic=lambda: clock.now)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:9107", "LOCALHOST", "127.0.0.1:9107", "192.0.2.7", "[::1]:9107", "[2001:db8::1]"),
        *("wall.example.org", "Wall.Example.org:443", "wall.example.org."),
    ],
)
def test_addresses_localhost_and_names_of_the_settings_are_gone_by(host: str) -> None:
    assert is_named_so(host, frozenset({"wall.example.org"}))


@pytest.mark.parametrize(
    "host",
    ["", "evil.example.org", "localhost.evil.org", "127.0.0.1.evil.org", "wall.example.org.evil.org", "[", "::1"],
)
def test_no_other_name_is(host: str) -> None:
    assert not is_named_so(host, frozenset({"wall.example.org"}))


def test_the_token_is_known_and_nothing_like_it() -> None:
    access = guarded(Clock())
    assert access.is_token(TOKEN, "192.0.2.1")
    for wrong in ("", TOKEN[:-1], f"{TOKEN} ", TOKEN.upper(), "\ud800", "é"):
        assert not access.is_token(wrong, "192.0.2.1")


def test_without_a_token_everybody_may_see() -> None:
    assert Access(None).is_open
    assert not guarded(Clock()).is_open


def test_a_cookie_holds_until_it_expires_and_for_a_router_started_anew() -> None:
    clock = Clock()
    cookie = guarded(clock).cookie()
    assert TOKEN not in cookie
    assert guarded(clock).is_cookie(cookie)
    clock.now += COOKIE_S
    assert not guarded(clock).is_cookie(cookie)


def test_another_token_ends_the_cookies_of_the_one_before() -> None:
    clock = Clock()
    assert not guarded(clock, "another").is_cookie(guarded(clock).cookie())


def test_a_cookie_that_was_made_up_or_changed_is_none() -> None:
    access = guarded(Clock())
    expires, _, seal = access.cookie().partition(".")
    for wrong in (
        "",
        ".",
        expires,
        f"{int(expires) + 1}.{seal}",
        f"{expires}.{seal[:-1]}0x",
        f"²{expires}.{seal}",
        "9" * 5000,
        f"{expires}.\udcff",
    ):
        assert not access.is_cookie(wrong)


def test_after_many_wrong_tokens_from_an_address_none_of_it_is_looked_at_for_a_while() -> None:
    clock = Clock()
    access = guarded(clock)
    for _ in range(MOST_WRONG):
        assert not access.is_held_off("192.0.2.1")
        access.is_token("wrong", "192.0.2.1")
    assert access.is_held_off("192.0.2.1")
    assert not access.is_held_off("192.0.2.2")
    clock.now += WRONG_WITHIN_S
    assert not access.is_held_off("192.0.2.1")


def test_addresses_that_are_remembered_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ADDRESSES", 3)
    access = guarded(Clock())
    for n in range(10):
        access.is_token("wrong", f"192.0.2.{n}")
    assert list(access._wrong) == ["192.0.2.7", "192.0.2.8", "192.0.2.9"]

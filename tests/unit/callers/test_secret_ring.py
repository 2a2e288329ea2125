from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from router.callers.pseudonym import CallerSecret
from router.callers.secret_ring import (
    MOST_SECRETS,
    SecretRing,
    add_secret,
    load_or_create_ring,
    load_ring,
    retire_secret,
)
from router.errors import ConfigurationError

FIRST, SECOND = CallerSecret(bytes(range(32))), CallerSecret(bytes(32))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "registry.secrets"


def write(file: Path, *lines: str, mode: int = 0o600) -> None:
    file.write_text("\n".join([*lines, ""]))
    file.chmod(mode)


def refusal(file: Path) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_ring(file)
    assert raised.value.__cause__ is None or isinstance(raised.value.__cause__, OSError)
    return str(raised.value)


def test_a_missing_file_is_made_with_one_random_secret_for_its_owner_only(file: Path) -> None:
    before = os.umask(0)
    try:
        ring = load_or_create_ring(file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(ring.secrets) == 1
    assert load_or_create_ring(file) == load_ring(file) == ring
    assert load_or_create_ring(file.with_name("other")) != ring
    assert sorted(entry.name for entry in file.parent.iterdir()) == ["other", "registry.secrets"]


def test_a_file_made_by_root_is_for_whom_the_folder_belongs_to(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _, user, group: given.append((user, group)))
    load_or_create_ring(file)
    folder = file.parent.stat()
    assert given == [(folder.st_uid, folder.st_gid)]


def test_of_two_that_make_it_at_once_both_use_the_first_ones(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    winner = load_or_create_ring(file)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", lambda _: False)
        assert load_or_create_ring(file) == winner
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_secrets_are_read_newest_first_past_comments_and_blank_lines(file: Path) -> None:
    write(file, "# what this is", "", f"  {FIRST.key.hex().upper()} ", SECOND.key.hex())
    ring = load_ring(file)
    assert ring == SecretRing((FIRST, SECOND))
    assert ring.newest == FIRST
    assert ring.named(SECOND.name) == SECOND
    assert ring.named("ffffffff") is None


def test_a_line_that_is_no_secret_is_named_and_not_quoted(file: Path) -> None:
    secret = SECOND.key.hex()[:-1] + "g"
    write(file, FIRST.key.hex(), secret)
    said = refusal(file)
    assert said == f"{file}:2:1: error: a secret is a line of 64 hexadecimal digits"


@pytest.mark.parametrize("secret", ["00" * 31, "00" * 33, "ß" * 64, "00" * 32 + " # mine"])
def test_a_secret_of_another_form_is_refused(file: Path, secret: str) -> None:
    write(file, secret)
    assert f"{file}:1:1: error: a secret is a line of 64 hexadecimal digits" in refusal(file)


def test_the_same_secret_twice_is_refused(file: Path) -> None:
    write(file, FIRST.key.hex(), SECOND.key.hex(), FIRST.key.hex())
    assert f"{file}:3:1: error: this secret is there twice" in refusal(file)


@pytest.mark.parametrize("count", [0, MOST_SECRETS + 1])
def test_there_are_one_to_four(file: Path, count: int) -> None:
    write(file, *(f"{number:064x}" for number in range(count)))
    assert "it must hold 1 to 4 secrets" in refusal(file)


def test_a_file_that_is_no_file_of_secrets_is_not_read_whole(file: Path) -> None:
    write(file, "#" * 1_000_000)
    assert "it must hold 1 to 4 secrets" in refusal(file)


def test_others_on_the_machine_may_not_read_it_and_a_group_may(file: Path) -> None:
    write(file, FIRST.key.hex(), mode=0o644)
    assert "run `chmod 640`" in refusal(file)
    file.chmod(0o640)
    assert load_ring(file).newest == FIRST


def test_a_missing_folder_or_file_says_what_to_do(file: Path) -> None:
    assert "No such file or directory; the router makes it when it starts" in refusal(file)
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        load_or_create_ring(file / "deeper")


def test_what_may_not_be_read_says_who_may(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    assert refusal(file) == (
        f"{file}: error: the secrets of the registry cannot be read or written: Permission denied; do this as root, or "
        "as the router's user"
    )


def test_an_added_secret_is_the_newest_and_the_others_stay(file: Path) -> None:
    first = load_or_create_ring(file)
    second = add_secret(file)
    assert second.secrets[1:] == first.secrets
    assert second.newest != first.newest
    assert load_ring(file) == second
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_more_than_four_are_not_added(file: Path) -> None:
    load_or_create_ring(file)
    for _ in range(MOST_SECRETS - 1):
        add_secret(file)
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="retire one that nothing is stored under"):
        add_secret(file)
    assert file.read_bytes() == before


def test_a_retired_secret_is_gone_and_the_last_one_stays(file: Path) -> None:
    first = load_or_create_ring(file).newest
    second = add_secret(file).newest
    assert retire_secret(file, first.name) == load_ring(file) == SecretRing((second,))
    with pytest.raises(ConfigurationError, match="add a new one first"):
        retire_secret(file, second.name)
    with pytest.raises(ConfigurationError, match=f"no secret named '{first.name}', only {second.name}"):
        retire_secret(file, first.name)
    assert load_ring(file) == SecretRing((second,))


def test_a_group_that_was_let_in_stays_so(file: Path) -> None:
    load_or_create_ring(file)
    file.chmod(0o640)
    add_secret(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_while_it_is_replaced_it_is_never_half_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_or_create_ring(file)

    def broken(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        add_secret(file)
    assert load_ring(file) == before
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]

"""`check --live`: what the rules name is looked for in the running Asterisk, as the router's own manager user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.centre import ELDER_ROUTER, Centre
from lab.places import PROJECT, SOUNDS

SHIPPED = (PROJECT / "config" / "routing.yaml").read_text(encoding="utf-8")


async def _check(settings: Path, *words: str) -> tuple[int, list[str]]:
    process = await asyncio.create_subprocess_exec(
        ELDER_ROUTER, "--config", str(settings), "check", "--live", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode().splitlines()


async def _centre(centre_of: Callable[..., Any]) -> tuple[Centre, Path]:
    centre: Centre = await centre_of(router=False)
    return centre, centre.router.write_settings()


async def test_the_shipped_rules_find_all_that_they_name(centre_of: Callable[..., Any]) -> None:
    _, settings = await _centre(centre_of)
    assert await _check(settings, "--sounds", str(SOUNDS)) == (
        0,
        [
            f"1 file checked with the cases in {PROJECT / 'config' / 'routing-tests.yaml'}: 0 errors, 0 warnings; good "
            "to load"
        ],
    )


async def test_what_asterisk_has_not_is_told_by_line(centre_of: Callable[..., Any], tmp_path: Path) -> None:
    centre, settings = await _centre(centre_of)
    name = centre.asterisk.name
    file = tmp_path / "wrong.yaml"
    text = SHIPPED.replace("queue: agents", "queue: agnts").replace("router-assistant", "router-asistant")
    file.write_text(text.replace("unhurried", "leisurely"), encoding="utf-8")
    cases = "tests: [{name: a case of its own, call: {called: 95519}, expect: {to: assistant}}]"
    file.with_name("routing-tests.yaml").write_text(cases, encoding="utf-8")
    lines = text.splitlines()
    queue = next(number for number, line in enumerate(lines, 1) if "agnts" in line)
    context = next(number for number, line in enumerate(lines, 1) if "asistant" in line)
    speech = next(number for number, line in enumerate(lines, 1) if line.startswith("  unhurried:"))
    status, said = await _check(settings, str(file), "--sounds", str(SOUNDS))
    assert status == 1
    ours = len({path.stem for path in (SOUNDS / "en" / "elder").iterdir()})
    assert said[:-1] == [
        *(
            f"{file}:{speech}:3: error: {ours} of {ours} prompts in {language} are not there at this speed, in "
            f"{SOUNDS / (language + '_leisurely')}; run `elder-router prompts build`"
            for language in ("en", "zh")
        ),
        f"{file}:{queue}:{lines[queue - 1].index('agnts') + 1}: error: {name} has no queue `agnts`; "
        "did you mean `agents`? it has agents, senior-care",
        f"{file}:{context}:{lines[context - 1].index('router-asistant') + 1}: error: {name} has no context "
        "`router-asistant` with an extension s; its calls would go to people",
    ]
    assert said[-1].endswith("good to load, but not all that they name is there")


async def test_an_asterisk_that_cannot_be_asked_is_said_so(centre_of: Callable[..., Any], tmp_path: Path) -> None:
    centre, settings = await _centre(centre_of)
    wrong = tmp_path / "wrong.secret"
    wrong.write_text("not-the-secret")
    good = settings.read_text()
    settings.write_text(good.replace(str(centre.asterisk.secret_file), str(wrong)))
    status, said = await _check(settings)
    assert status == 2
    assert "could not be asked: " in said[-1]
    settings.write_text(good.replace(f"port: {centre.asterisk.ami_port}", "port: 1"))
    status, said = await _check(settings)
    assert status == 2
    assert f"{centre.asterisk.name} (127.0.0.1:1) could not be asked: " in said[-1]

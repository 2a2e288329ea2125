"""What the rules name, looked for in the running Asterisk: queues, contexts, prompts.

Asked with the privileges of the router's own manager user: QueueSummary lists the queues, and `Getvar` reads the
dialplan function DIALPLAN_EXISTS. Asterisk tells nobody over AMI which sounds it has; they are looked for in its
directory of sounds, where this machine has it too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asterisk.ami import SimpleAction

from router.ami.link import Link, LinkState
from router.ami.messages import one
from router.ami.settings import LinkSettings
from router.calls.events import whole_number
from router.calls.verdict import spoken_profile
from router.errors import AmiError, Problem, RouterError
from router.rules.book import RuleBook
from router.rules.document import Document
from router.rules.model import ContextTarget, QueueTarget, SpeechProfile, Target
from router.rules.wording import did_you_mean, listed
from router.speech.profile import is_language, language_for

_PATIENCE_S: Final = 8.0
# The directory of our own prompts in that of a language.
_OURS: Final = "elder"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one running Asterisk has: agents logged in by queue, and which of the contexts asked for exist."""

    node: str
    agents: dict[str, int]
    contexts: frozenset[str]
    sounds: Path | None


class NotSeenError(RouterError):
    """An Asterisk could not be asked."""


async def look(links: Sequence[LinkSettings], contexts: Sequence[str]) -> list[Seen]:
    """Ask every Asterisk.

    Raises:
        NotSeenError: One cannot be reached, or refuses.
    """
    return [await _look(link, contexts) for link in links]


async def _look(settings: LinkSettings, contexts: Sequence[str]) -> Seen:
    asked = [SimpleAction("Getvar", Variable=f"DIALPLAN_EXISTS({context},s,1)") for context in contexts]
    try:
        async with asyncio.timeout(_PATIENCE_S), linked(settings) as link:
            queues = await link.request_list(SimpleAction("QueueSummary"))
            *answers, data = await link.request_all([*asked, SimpleAction("Getvar", Variable="ASTDATADIR")])
    except (AmiError, TimeoutError) as error:
        why = str(error) or f"no answer within {_PATIENCE_S:.0f} s"
        raise NotSeenError(f"{settings.name} ({settings.host}:{settings.port}) could not be asked: {why}") from error
    there = zip(contexts, answers, strict=True)
    sounds = Path(one(data, "Value")) / "sounds"
    return Seen(
        node=settings.name,
        agents={one(event, "Queue"): whole_number(one(event, "LoggedIn")) for event in queues},
        contexts=frozenset(context for context, answer in there if one(answer, "Value") == "1"),
        sounds=sounds if sounds.is_absolute() and sounds.is_dir() else None,
    )


@asynccontextmanager
async def linked(settings: LinkSettings) -> AsyncIterator[Link]:
    """A link that is up; what keeps it from coming up is raised at once."""
    up: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_state(state: LinkState, detail: str) -> None:
        if up.done():
            return
        if state is LinkState.UP:
            up.set_result(None)
        elif state in {LinkState.REFUSED, LinkState.WAITING}:
            up.set_exception(AmiError(detail))

    link = Link(settings, wanted_events=(), on_event=lambda _: None, on_state=on_state)
    running = asyncio.create_task(link.run())
    try:
        await up
        yield link
    finally:
        await link.close()
        await running


def live_problems(book: RuleBook, document: Document, seen: Seen, sounds: Path | None) -> list[Problem]:
    """What the rules name and one running Asterisk has not.

    Args:
        book: The rules.
        document: Where in the file they name it.
        seen: What Asterisk has.
        sounds: Its directory of sounds, if it is not where Asterisk says.
    """
    directory = sounds or seen.sounds
    problems = [*_targets(book.targets, document, seen)]
    if directory is not None:
        problems += _prompts(book, document, directory)
    elif any(_changes(profile) for profile in book.speech.values()):
        message = f"the prompts of {seen.node} cannot be seen from here; name its directory of sounds with --sounds"
        problems.append(document.problem(("speech",), message, at_key=True, warning=True))
    return sorted(set(problems))


def _targets(targets: Mapping[str, Target], document: Document, seen: Seen) -> Iterator[Problem]:
    for name, target in targets.items():
        match target:
            case QueueTarget(queue=queue) if queue not in seen.agents:
                near = did_you_mean(queue, seen.agents)
                has = f"it has {listed(sorted(seen.agents))}" if seen.agents else "it has none"
                message = f"{seen.node} has no queue `{queue}`; {near}{has}"
                yield document.problem(("targets", name, "queue"), message)
            case QueueTarget(queue=queue) if not seen.agents[queue]:
                message = f"nobody is logged in to the queue `{queue}` of {seen.node} at the moment"
                yield document.problem(("targets", name, "queue"), message, warning=True)
            case ContextTarget(context=context) if context not in seen.contexts:
                message = f"{seen.node} has no context `{context}` with an extension s; its calls would go to people"
                yield document.problem(("targets", name, "context"), message)
            case _:
                pass


def _prompts(book: RuleBook, document: Document, sounds: Path) -> Iterator[Problem]:
    """Whether each language's prompts are there at each profile's speed, and each language that a rule turns to."""
    languages = {path.parent.name: _names(path) for path in sounds.glob(f"*/{_OURS}")}
    # What follows a language that is there too is a profile, of these rules or of earlier ones, or a region.
    bases = {
        name: prompts
        for name, prompts in languages.items()
        if is_language(name) and not ("_" in name and (sounds / name.rpartition("_")[0]).is_dir())
    }
    if not bases:
        message = f"no prompts of ours are in {sounds}; run `elder-router prompts build --sounds {sounds}`"
        yield document.problem(("speech",), message, at_key=True)
    for profile in book.speech.values():
        for base, wanted in sorted(bases.items()) if _changes(profile) else ():
            directory = language_for(base, spoken_profile(profile))
            missing = len(wanted - languages.get(directory, frozenset()))
            if missing:
                message = (
                    f"{missing} of {len(wanted)} prompts in {base} are not there at this speed, in "
                    f"{sounds / directory}; run `elder-router prompts build`"
                )
                yield document.problem(("speech", profile.name), message, at_key=True)
    for index, rule in enumerate(book.rules):
        if rule.language and not (sounds / rule.language).is_dir():
            message = f"there are no sounds in {rule.language} (no {sounds / rule.language})"
            yield document.problem(("rules", index, "then", "language"), message)


def _names(directory: Path) -> frozenset[str]:
    return frozenset(path.stem for path in directory.iterdir() if path.is_file())


def _changes(profile: SpeechProfile) -> bool:
    return not spoken_profile(profile).changes_nothing


def contexts_of(books: Iterable[RuleBook]) -> list[str]:
    """The contexts that rules send calls to."""
    found = {t.context for book in books for t in book.targets.values() if isinstance(t, ContextTarget)}
    return sorted(found)

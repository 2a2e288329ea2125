"""The reference of the rules language, docs/rules.md: its tables are made from the models, its prose stands here.

Pure: returns text. A test keeps the published page current and loads every complete file on it.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from router.rules.document import MAX_FILE_BYTES
from router.rules.editor_schema import RULES_SCHEMA_NAME, editor_schema
from router.rules.lists import MAX_BEGINNINGS, MAX_LIST_BYTES
from router.rules.reference_examples import EXAMPLES, FIRST_FILE
from router.rules.scalars import resolve_plain
from router.rules.schema import (
    MAX_BANDS,
    MAX_LISTED,
    MAX_NAMES,
    MAX_RULES,
    BandEntry,
    CalendarEntry,
    FallbackEntry,
    OverflowEntry,
    QueueEntry,
    RepeatEntry,
    RuleEntry,
    RulesFile,
    SpeechEntry,
    TargetEntry,
    ThenEntry,
    WhenEntry,
)

_GROUPS: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("The file", RulesFile),
    ("Each entry of `age_bands`", BandEntry),
    ("Each profile of `speech`", SpeechEntry),
    ("Each target of `targets`", TargetEntry),
    ("`overflow`, of a target or of a rule", OverflowEntry),
    ("Each calendar of `calendars`", CalendarEntry),
    ("Each entry of `rules`", RuleEntry),
    ("`when`: the conditions", WhenEntry),
    ("`queue`, under `when`: the bounds of each target", QueueEntry),
    ("`repeat`, under `when`", RepeatEntry),
    ("`then`: the decision", ThenEntry),
    ("`fallback`", FallbackEntry),
)
_REFUSED_WORDS: Final = ("22:30", "0800", "+8613900000001", "2026-11-23", "on", "no", "1_000", "1e3", ".5", "=")


def reference() -> str:
    """docs/rules.md."""
    tables = "\n".join(_table(heading, model) for heading, model in _GROUPS)
    examples = "\n".join(f"### {title}\n\n{said}\n\n{_yaml(text)}" for title, said, text in EXAMPLES)
    return "\n".join(
        [_INTRODUCTION, _yaml(FIRST_FILE), _DECIDING, tables, _LIMITS, _TOPICS, _words(), _EXAMPLES, examples]
    )


def _yaml(text: str) -> str:
    return f"```yaml\n{text}```\n"


def _table(heading: str, model: type[BaseModel]) -> str:
    properties = editor_schema(model, heading)["properties"]
    rows = [
        f"| `{key}` | {info.title} | {info.description} | {_without(properties[key], required=info.is_required())} |"
        for key, info in ((info.alias or name, info) for name, info in model.model_fields.items())
    ]
    head = ["| key | what for | it must be | left out |", "|---|---|---|---|"]
    return "\n".join([f"### {heading}\n", f"{model.__doc__}\n", *head, *rows, ""])


def _without(schema: dict[str, object], *, required: bool) -> str:
    """What holds where a key is left out."""
    if required:
        return "must be there"
    default = schema.get("default")
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`" if default is not None else "–"


def _words() -> str:
    rows = [f"| `{word}` | {resolve_plain(word)[1]} |" for word in _REFUSED_WORDS]
    return "\n".join([_WORDS, "| written | what is said |", "|---|---|", *rows, "", _MORE_WORDS])


_INTRODUCTION: Final = """\
# The routing rules

<!-- Made by `make schema` from router/rules/: change it there. -->

One file, `routing.yaml`, says which callers go where and how they are spoken to. It is written by the people who
run the contact centre; none of it is programming. This page has all of it.

After a change:

    elder-router check                  # what is wrong, with line and column; nothing is loaded yet
    elder-router explain --caller …     # where one call would go, and why, rule by rule
    elder-router test                   # the cases in routing-tests.yaml beside the rules
    elder-router diff NEW.yaml          # who of the last days' callers would be routed differently
    systemctl reload elder-router       # the running router takes the new rules; no call is dropped

A file with a mistake is never loaded: the rules in force stay. All mistakes are told at once, each with the line
and the column where it stands, what would be right, and the nearest name there is:

    routing.yaml:71:28: error: there is no target `asistant`; did you mean `assistant`? defined are people, assistant

## A first file
"""

_DECIDING: Final = """\
## How a call is decided

- The rules are tried from the top. **The first one whose conditions all hold decides**; those below it are not
  asked.
- A condition with a list holds if any entry of the list does: `age_band: [senior, elder]`.
- The last rule has no `when` and takes every call that is left, so that every call has an answer.
- **What is not known holds no condition that asks for it.** If Asterisk has not told of its queues, no `queue`
  condition holds; if the caller withholds the number, no `caller` and no `rollout` condition does. So write rules
  such that what is left, when little is known, is right too.
- If the router cannot decide at all, the call goes to `fallback`, which is always people.
- The journal holds, for each call, the rule that decided and why those above it did not.

## Every key
"""

_LIMITS: Final = f"""\
### How much there may be

Up to {MAX_RULES} rules, {MAX_BANDS} age bands, {MAX_NAMES} names of each kind, {MAX_LISTED} entries in a list, and
{MAX_FILE_BYTES // 1024} KiB in all; a file of callers' numbers may have {MAX_LIST_BYTES // (1024 * 1024)} MiB,
which is half a million numbers, and {MAX_BEGINNINGS:,} beginnings of numbers among them.
Durations are written with their unit: `400ms`, `60s`, `5m`, `1h`, `7d`.

An editor that knows JSON Schema, such as VS Code with its YAML extension, completes the keys and shows what they
are for while you type; the first line of `routing.yaml` tells it of `{RULES_SCHEMA_NAME}`.
"""

_TOPICS: Final = """\
## Calendars

A calendar is opening hours with a name. `calendar: open` holds while it is open, `outside_calendar: open` while
it is closed; of a list, `calendar` needs one that is open and `outside_calendar` needs all to be closed.

Hours are written as OpenStreetMap does, by the clock of `timezone`:

| hours | meaning |
|---|---|
| `Mo-Fr 09:00-21:00; Sa-Su 09:00-18:00` | on the days it names, a later part replaces the earlier ones |
| `Mo-Fr 09:00-12:00,13:00-17:00` | closed at noon |
| `22:00-06:00` | over midnight |
| `Sa-Su` | these days, all day |
| `Mo-Fr 09:00-18:00; Dec 24-26 off` | but not on these dates |
| `Jul-Aug Mo-Fr 08:00-20:00` | in these months only |
| `Su[1] 10:00-12:00` | the first Sunday of a month |

What follows a comma has days of its own, like `Mo-Fr 09:00-17:00, Sa 10:00-12:00`, unless the comma stands between two
times. Easter and school holidays are not known in hours; write their dates.

A night that reaches into a day that a later part names ends at midnight. 09:00 stays 09:00 when the clocks
change; the hour that does not exist passes at once, and the one that comes twice counts twice.

With `holidays: CN`, or a part of a country such as `DE-BY`, public holidays count:

- On a public holiday only `holiday_hours` are open; without them, nothing is.
- A weekend day that is worked in exchange, as in China, has the hours of the nearest weekday: a Saturday
  Friday's, a Sunday Monday's.
- A night that reaches into a public holiday ends at midnight.
- China gives notice of its days some weeks before the year begins; they are in the Python package `holidays`,
  which wants updating then. `elder-router check` warns when the year's days are not known.
- Days that only some places keep (15 August in most of Bavaria) are not among them. Name them in `hours`, like
  `Mo-Fr 09:00-17:00; Aug 15 off`.

A calendar that is never open is a mistake; one that always is gives a warning.

## The state of queues

`queue: {people: {waiting_over: 10, agents_free_under: 1}}` holds while all its bounds do. The names are those of
targets, not Asterisk's. The router asks Asterisk for its queues every second. What is older than five seconds,
because Asterisk does not answer, is **not known, and then no `queue` condition holds**, neither `waiting_over`
nor `waiting_under`.

`over` and `under` leave out the number itself: `waiting_over: 10` begins with the eleventh. A queue in which
nobody waits has a longest wait of 0s.

## Callers who call again

`repeat: {calls: 3, within: 24h}` holds from the third call of a caller within 24 hours on, this call counted.
Calls are remembered by number, for as long as the longest `within` of any rule, 20 at most. Without a number, or
while Redis is gone, it is not known and does not hold.

## What the caller chose

During a call the keys 7 and 8 change how the caller is spoken to, from the next sentence on, and 0 asks for a person:

- 7, `slower`, leads to the next slower profile under `speech`, by `rate`: from `standard` to `unhurried` to `slow`. At
  the slowest it stays, and says so.
- 8, `normal`, leads to the profile `standard`.

It is remembered for the caller's number, with the profile that it led to, for half a year from the last time that they
chose (`callers: {choice_kept: …}` in the settings file says otherwise). In the next call **it is stronger than the
`speech` of whatever rule decides**, a rule for the caller's age too. If the rules no longer have the profile, `slower`
is the next slower one than the rule's, and `normal` is `standard`. So every profile that is slower than one in use is
in use as well.

`choice` asks for what was remembered: `slower`, `normal`, `person`, or `none`, which is that they chose nothing. Who
chose slower speech and a person holds both. A rule that asks for the pace that a caller chose, and has a `speech`, says
itself how such callers are spoken to: that counts, and not what they chose. Where a caller goes is for rules alone to
say: who pressed 0 before meets the menu again, unless a rule with `choice: person` sends them to people.

Of a call without a number, nothing is remembered longer than the call lasts. While Redis is gone it is not known what
a caller chose, and not even `none` holds. `elder-router callers get` shows it, `callers choose` changes it, `callers
forget` removes it.

## Roll-out

Every caller has a place from 0 up to 100, made from their number with the secret of the journal (a keyed hash):
it looks like chance, and does not change unless the secret does. `rollout: 20%` holds for the callers whose place
is below 20.

- The same callers are in it at every call, and stay in it when the share grows.
- The place is the same for all rules, so that slices can be cut: a rule with `rollout: 20%` and one below it with
  `rollout: 60%` give a fifth of the callers to the first, two fifths to the second, and leave two fifths.
- A call without a number has no place and is in no roll-out.

## Lists of callers

`caller: [vip.txt, "+8610*"]` names a file beside `routing.yaml`: one number with + and country code a line, or the
beginning of numbers with a `*`. What follows a `#` is a remark.

```text
# Callers who always reach a person.
+8613900000001
+861390000*      # a whole range
```

The router watches it like `routing.yaml` itself: a changed list is in force a few seconds after it was saved. A line
that is no number is told of with its file, line and column, and the rules are not loaded. Hundreds of thousands of
numbers are fine: they are taken within seconds, and calls go on meanwhile. The trace of a call names the file and
never a number in it.

## Head start

`head_start: 5m` ranks a caller in the queue as one who has waited five minutes already. It is no priority:
everyone goes on waiting from there at the same rate, and who came ten minutes earlier is still answered first. So
nobody is overtaken for ever.

## What `protected` proves

`protected: [senior, elder]` makes `check`, and every load, look at **all calls there could be** of these bands:
any number, any hour, public holidays and worked weekend days included, any state of the queues, known or not, any
place in a roll-out, any choice, any number of earlier calls. If one of them were sent to anything but a queue of
people, the file is refused, and the message gives an example:

    callers of the protected age band `elder` do not reach a person here (for example: Monday 00:00): …

The hours looked at are those from 2024 to 2051. After these 28 years weekdays and dates meet as before, until 2100 has
no leap day; only years named in `hours` do not come again.

In the same way a rule that no call can reach is refused, because rules before it take all its calls or because
its conditions exclude each other. The proof takes every combination to be possible; it does not know how many
agents are there.
"""

_WORDS: Final = """\
## Words that are refused without quotes

Programs that read YAML do not agree on some words. They are refused, with what to write instead, rather than
guessed:
"""

_MORE_WORDS: Final = """\
Also refused: a key that stands twice, anchors and aliases (`&a`, `*a`), merging (`<<`), tags (`!…`), a second
document (`---`), tabs, invisible characters, keys without a value, and the full-width `：` `，` and typographic
quotes “ ” where their ASCII twins are meant.
"""

_EXAMPLES: Final = """\
## Worked examples

Each is a whole file that loads as it stands.
"""

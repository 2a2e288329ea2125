"""The rules files shown on docs/rules.md, each of which loads as it stands."""

from __future__ import annotations

from typing import Final

FIRST_FILE: Final = """\
timezone: Asia/Shanghai

age_bands:
  - {name: adult,  from: 0}
  - {name: senior, from: 60}

protected: [senior]

speech:
  unhurried: {rate: 0.85, sentence_pause: 400ms, digit_timeout: 8s}

targets:
  people:      {queue: agents}
  senior-care: {queue: senior-care, overflow: {after: 60s, to: people}}
  assistant:   {context: router-assistant}

rules:
  - name: callers of 60 and over reach a person
    when: {age_band: senior}
    then: {to: senior-care, head_start: 5m, speech: unhurried, agent_label: "60+"}

  - name: everyone else meets the assistant
    then: {to: assistant}

fallback: {to: people}
"""

_HEAD: Final = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}]
protected: [senior]
"""

EXAMPLES: Final = (
    (
        "Out of hours",
        "Older callers reach a person at any time. For the others, people answer in the daytime, and the assistant at\n"
        "night and on public holidays.",
        _HEAD
        + """\
targets:
  people:    {queue: agents}
  emergency: {queue: night-duty}
  assistant: {context: router-assistant}
calendars:
  open: {hours: "Mo-Fr 09:00-21:00; Sa-Su 09:00-18:00", holidays: CN}
rules:
  - name: older callers out of hours reach the night duty
    when: {age_band: senior, outside_calendar: open}
    then: {to: emergency, note: the night duty speaks slowly}
  - name: everyone reaches a person in our hours
    when: {calendar: open}
    then: {to: people}
  - name: the assistant answers the rest
    then: {to: assistant}
fallback: {to: people}
""",
    ),
    (
        "When many wait",
        "Who would wait long is offered a call back by the assistant; older callers overflow sooner instead. While\n"
        "the state of the queue is not known, no rule that asks for it holds and everyone waits for a person.",
        _HEAD
        + """\
targets:
  people:    {queue: agents}
  everybody: {queue: all-hands}
  call-back: {context: call-back-menu}
rules:
  - name: older callers overflow after half a minute
    when: {age_band: senior}
    then: {to: people, head_start: 5m, overflow: {after: 30s, to: everybody}}
  - name: a call back while more than twenty wait
    when: {queue: {people: {waiting_over: 20}}}
    then: {to: call-back}
  - name: the same while somebody has waited for long and nobody is free
    when: {queue: {people: {longest_wait_over: 10m, agents_free_under: 1}}}
    then: {to: call-back}
  - name: everyone else waits for a person
    then: {to: people}
fallback: {to: people}
""",
    ),
    (
        "Callers who call again, or chose a person",
        "Whoever calls for the third time in a day did not get what they called for, and whoever chose a person or\n"
        "slower speech before need not choose again. Callers of 60 and over who chose another pace keep it as well:\n"
        "that takes no rule.",
        _HEAD
        + """\
speech:
  unhurried: {rate: 0.85, sentence_pause: 400ms}
  slow:      {rate: 0.7, sentence_pause: 700ms, menu_options: 2}
targets:
  people:    {queue: agents}
  assistant: {context: router-assistant}
rules:
  - name: older callers
    when: {age_band: senior}
    then: {to: people, head_start: 5m, speech: unhurried}
  - name: the third call within a day
    when: {repeat: {calls: 3, within: 24h}}
    then: {to: people, head_start: 2m, agent_label: calls again}
  - name: who chose a person before
    when: {choice: person}
    then: {to: people}
  - name: who chose slower speech is spared the menu
    when: {choice: slower}
    then: {to: people, speech: slow}
  - name: everyone else
    then: {to: assistant}
fallback: {to: people}
""",
    ),
    (
        "Trying something on some callers",
        "Of the callers who are not protected, a tenth hears the new assistant; the next tenth hears the old one and\n"
        "is marked for comparison. Both stay the same callers for as long as it lasts.",
        _HEAD
        + """\
targets:
  people:        {queue: agents}
  assistant:     {context: router-assistant}
  new-assistant: {context: new-assistant}
rules:
  - name: older callers reach a person
    when: {age_band: senior}
    then: {to: people, head_start: 5m}
  - name: the new assistant
    when: {rollout: 10%}
    then: {to: new-assistant, note: trial A}
  - name: those it is compared with
    when: {rollout: 20%}
    then: {to: assistant, note: trial B}
  - name: everyone else
    then: {to: assistant}
fallback: {to: people}
""",
    ),
    (
        "Lists, lines and languages",
        "The callers of `vip.txt`, a file beside the rules, and all from Beijing reach people on the claims line;\n"
        "those who come speaking Cantonese are spoken to in it.",
        _HEAD
        + """\
targets:
  people: {queue: agents}
  claims: {queue: claims, overflow: {after: 2m, to: people}}
rules:
  - name: listed callers on the claims line
    when: {called: [95519, 9551*], caller: [vip.txt, "+8610*"]}
    then: {to: claims, head_start: 1m, agent_label: listed}
  - name: Cantonese
    when: {language: [zh_HK, yue]}
    then: {to: people, language: yue}
  - name: everyone else
    then: {to: people}
fallback: {to: people}
""",
    ),
)

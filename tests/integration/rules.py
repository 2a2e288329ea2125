"""Routing rules for the tests."""

from __future__ import annotations

BANDS = """\
age_bands:
  - {name: minor, from: 0}
  - {name: adult, from: 18}
  - {name: senior, from: 60}
  - {name: elder, from: 75}
protected: [senior, elder]
"""

ALL_TO_PEOPLE = (
    "timezone: Asia/Shanghai\n"
    + BANDS
    + """\
speech: {unhurried: {rate: 0.85}}
targets:
  people: {queue: agents}
rules:
  - name: older callers first
    when: {age_band: [senior, elder]}
    then: {to: people, head_start: HEAD_START, speech: unhurried}
  - name: everyone
    then: {to: people}
fallback: {to: people}
"""
)
"""Everyone waits in one queue; older callers with a head start."""

BRISK = (
    "timezone: Asia/Shanghai\n"
    + BANDS
    + """\
speech: {unhurried: {rate: 0.85}}
targets:
  people: {queue: agents}
  older: {queue: senior-care}
  assistant: {context: brisk-assistant}
rules:
  - name: older callers
    when: {age_band: [senior, elder]}
    then: {to: older, speech: unhurried}
  - name: everyone else
    then: {to: assistant}
fallback: {to: people}
"""
)
"""The shipped rules' shape, with an assistant that says nothing: `BRISK_ASSISTANT`."""

BRISK_ASSISTANT = """
[brisk-assistant]
exten => s,1,Answer(,i)
 same => n,Wait(30)
"""

UNGREETED = """
[from-callers]
exten => _955XX,1,Set(ELDER_GREETED=yes)
 same => n,Goto(elder-inbound,${EXTEN},1)
"""
"""Who dials 955xx has been greeted already, which saves a test the seconds of the greeting."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.speech.engines.ssml import ssml_of

NAMESPACE = "{http://www.w3.org/2001/10/synthesis}"


def test_a_sentence_at_its_usual_speed() -> None:
    assert ssml_of(["Hello."], 1.0, 0.0) == (
        '<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis">Hello.</speak>'
    )


def test_phrases_slowed_with_a_pause_between() -> None:
    assert ssml_of(["You are", "number three."], 0.85, 0.25).removesuffix("</speak>").partition(">")[2] == (
        '<prosody rate="85%">You are</prosody><break time="250ms"/><prosody rate="85%">number three.</prosody>'
    )


@pytest.mark.parametrize(("rate", "written"), [(0.7, "70%"), (0.8571, "85.71%"), (1.25, "125%")])
def test_rates_are_percentages_of_the_usual_one(rate: float, written: str) -> None:
    assert f'rate="{written}"' in ssml_of(["x"], rate, 0.0)


@pytest.mark.parametrize(
    "text",
    [
        '</prosody><break time="9999s"/>',
        '<audio src="file:///etc/passwd"/>',
        "]]><!ENTITY x SYSTEM 'file:///etc/passwd'>&x;",
        "&lt;already&gt; &#x0; & \" '",
        "a\x00b\x0bc\ud800d\ufffee",
    ],
)
def test_what_looks_like_markup_is_spoken(text: str) -> None:
    root = ET.fromstring(ssml_of([text], 0.85, 0.0))  # noqa: S314 - our own
    assert [child.tag for child in root.iter()] == [f"{NAMESPACE}speak", f"{NAMESPACE}prosody"]
    assert "".join(root.itertext()) == "".join(c if c.isprintable() else " " for c in text)


def test_phonemes_in_a_text_are_no_phonemes() -> None:
    assert "[ [ [a]]]" in ssml_of(["[[[a]]]"], 1.0, 0.0)


@given(st.lists(st.text(), min_size=1, max_size=4), st.floats(0.3, 3.5), st.floats(0, 10))
def test_whatever_the_text_it_is_xml_with_that_text(phrases: list[str], rate: float, pause_s: float) -> None:
    written = ssml_of(phrases, rate, pause_s)
    assert len(written.splitlines()) == 1
    root = ET.fromstring(written.encode())  # noqa: S314 - our own
    assert {child.tag.removeprefix(NAMESPACE) for child in root.iter()} <= {"speak", "prosody", "break"}
    spoken = "".join(root.itertext()).replace(" ", "")
    assert spoken == "".join(c for phrase in phrases for c in phrase if c.isprintable()).replace(" ", "")

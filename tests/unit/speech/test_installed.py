from __future__ import annotations

from pathlib import Path

from router.speech.installed import Installed, find_languages


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def find(root: Path) -> Installed:
    return find_languages(root, profiles={"slow"}, made={"en_hushed"})


def test_a_directory_with_recorded_digits_is_a_language_and_nothing_else_is(tmp_path: Path) -> None:
    put(
        tmp_path,
        "en/digits/1.gsm",
        "fr/digits/1.g729",
        "moh/digits/readme.txt",
        "custom/1.wav",
        "not a name/digits/1.wav",
    )
    put(tmp_path, "digits/1.wav")
    assert find(tmp_path) == Installed(("en", "fr"), {}, ())


def test_directories_made_for_profiles_are_no_languages_but_those_of_regions_are(tmp_path: Path) -> None:
    put(
        tmp_path, *(f"{name}/digits/1.wav" for name in ("en", "en_slow", "en_hushed", "en_GB", "en_GB_slow", "xx_slow"))
    )
    assert find(tmp_path).languages == ("en", "en_GB", "xx_slow")


def test_debians_links_are_other_names_of_one_language(tmp_path: Path) -> None:
    put(tmp_path, "sounds/en_US_f_Allison/digits/1.wav")
    sounds, alternatives = tmp_path / "sounds", tmp_path / "alternatives"
    alternatives.mkdir()
    for name, link in (("en", "asterisk-prompt-en"), ("en_US", "asterisk-prompt-en-us")):
        (alternatives / link).symlink_to(sounds / "en_US_f_Allison")
        (sounds / name).symlink_to(alternatives / link)
    assert find(sounds) == Installed(("en",), {"en_US": "en", "en_US_f_Allison": "en"}, ())


def test_debians_links_to_nowhere_are_told_and_others_are_not(tmp_path: Path) -> None:
    put(tmp_path, "en_US_f_Allison/digits/1.wav")
    (tmp_path / "en").symlink_to("/etc/no-alternatives/asterisk-prompt-en")
    (tmp_path / "custom").symlink_to("../nowhere")
    assert find(tmp_path) == Installed(("en_US_f_Allison",), {}, ("en",))

"""From the text of a profile to the checked profile."""

from collections.abc import Callable

from drivers.modbus import check
from drivers.modbus.profile import Profile
from gateway.core import document
from gateway.core.errors import ConfigError

FindText = Callable[[str], tuple[str, str]]
"""The text of the profile of that name, and its file's name. Raises ConfigError where there is none."""


def parse_profile(text: str, source: str, find: FindText | None = None) -> Profile:
    """The profile, laid over the one that it is based on; `find` gives the text of that one.

    Raises ConfigError for the first mistake, with file, line, key and what was expected.
    """
    parsed = _whole(document.parse(text, source), find, ())
    profile = document.convert(parsed, Profile)
    for mistake in check.mistakes(profile, parsed):
        raise mistake
    return profile


def mistakes_in(text: str, source: str, find: FindText | None = None) -> list[ConfigError]:
    """Every mistake of a profile; empty where it is good."""
    try:
        parsed = _whole(document.parse(text, source), find, ())
    except ConfigError as error:
        return [error]
    mistakes = list(document.mistakes(parsed, Profile))
    return mistakes or list(check.mistakes(document.convert(parsed, Profile), parsed))


def _whole(parsed: document.Document, find: FindText | None, above: tuple[str, ...]) -> document.Document:
    """`parsed` over its base; `above` are the profiles that are based on it."""
    named = parsed.content.get("based_on")
    if named is None:
        return parsed
    name = named.content
    if name in above:
        raise ConfigError(f"{named.place}: based_on: goes round in a circle: {' on '.join((*above, str(name)))}")
    if not isinstance(name, str) or find is None:
        raise ConfigError(f"{named.place}: based_on: expected the name of a profile")
    try:
        base = document.parse(*find(name))
    except ConfigError as error:
        raise ConfigError(f"{named.place}: based_on: {error}", hint=error.hint) from error
    base = _whole(base, find, (*above, name))
    proven_alone = {key: child for key, child in base.content.items() if key != "proven_by"}
    return document.overlay(document.Document(proven_alone, base.place), parsed)

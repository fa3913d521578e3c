"""One value as a device writes it: a number, words, or nothing; pure."""

from math import isfinite

MISSING = {"", "null", "none", "nan", "inf", "-inf", "+inf", "infinity", "-infinity", "unknown", "unavailable"}
KEY_MAX = 96
DEPTH_MAX = 8

Value = float | str | None


def number_or_words(value: object) -> Value:
    """A number where it is one, as text too; None for null, NaN, infinity and words that mean "no value"."""
    if isinstance(value, bool | int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if isfinite(number) else None
    if not isinstance(value, str) or value.strip().lower() in MISSING:
        return None
    words = value.strip()
    if "_" not in words:  # float() takes 1_000, no device writes it
        try:
            return number_or_words(float(words))
        except ValueError:
            pass
    return words


def flatten(thing: object, into: dict[str, Value], prefix: str = "", depth: int = 0) -> None:
    """Put nested objects and lists into `into`, keys joined by underscores: ENERGY_Power, emeters_0_power.

    A list of words becomes one text. What lies deeper than DEPTH_MAX is left out.
    """
    if depth > DEPTH_MAX:
        return
    if isinstance(thing, dict):
        for key, value in thing.items():
            flatten(value, into, f"{prefix}_{key}" if prefix else str(key), depth + 1)
    elif isinstance(thing, list) and all(isinstance(entry, str) for entry in thing):
        into[clean_key(prefix)] = ", ".join(thing) or None
    elif isinstance(thing, list):
        for position, value in enumerate(thing):
            flatten(value, into, f"{prefix}_{position}", depth + 1)
    else:
        into[clean_key(prefix)] = number_or_words(thing)


def clean_key(key: object) -> str:
    """A key as a point may have it: nested with underscores, no slashes, no control characters, of limited length."""
    text = "".join("_" if character in "./\\ " or character < " " else character for character in str(key).strip())
    return text[:KEY_MAX] or "value"

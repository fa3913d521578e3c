"""What a gateway tells its hub of its configuration: every value, and where it comes from; no secret."""

from typing import Annotated, Literal

import msgspec

from gateway.core.redacting import Plain

Layer = Literal["default", "site", "local"]
"""Built in; of site.yaml, which the hub may change; of site_local.yaml, which only a person on site changes."""


class ConfigValue(msgspec.Struct, frozen=True):
    """One value in effect; `key` as `buses[one].devices[meter].poll_s`."""

    key: str
    value: Plain
    layer: Layer


class ConfigReport(msgspec.Struct, frozen=True):
    """The configuration in effect. `text`: site.yaml alone, as `gateway.core.redacting.canonical` has it."""

    text: str
    values: Annotated[tuple[ConfigValue, ...], msgspec.Meta(max_length=20_000)]
    sha256: str = ""  # of site.yaml as it is on the disk
    cut: str = ""  # why something is missing here; empty: it is all

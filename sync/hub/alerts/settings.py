"""When the hub raises an alarm, and how it sends word of it: `alerts:` in hub.yaml."""

from typing import Annotated, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=30 * 86_400)]


class SmtpConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mail server that takes the hub's e-mail."""

    host: Annotated[str, msgspec.Meta(min_length=1)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = None
    sender: Annotated[str, msgspec.Meta(pattern=r"^[^\s@<>,;:\"]+@[^\s@<>,;:\"]+$", description="an e-mail address")]
    tls_ca: str | None = None  # certificates that the server's is signed by; relative to the configuration's folder


class AlertsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each has a default that suits a gateway that sends a heartbeat a minute."""

    offline_s: Annotated[float, msgspec.Meta(ge=60, le=30 * 86_400)] = 300.0  # neither heartbeat nor batch for so long
    backlog_beats: Annotated[int, msgspec.Meta(ge=4, le=100)] = 10  # growing over so many heartbeats
    backlog_records: Annotated[int, msgspec.Meta(ge=1)] = 1000  # and by so many
    clock_off_s: Seconds = 60.0
    disk_free_mb: Annotated[float, msgspec.Meta(ge=0)] = 200.0
    disk_free_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 3.0  # whichever of both comes first
    device_s: Seconds = 900.0  # beyond what its gateway waits for before it calls a device offline
    hold_s: Seconds = 120.0  # what a heartbeat tells has to last so long before it is an alert
    calm_s: Seconds = 600.0  # an alert ends when its cause has been away for so long; longer where it keeps coming back
    again_s: Seconds = 3600.0  # what comes back so soon after its end is the same alert
    keep_days: Annotated[int, msgspec.Meta(ge=1)] = 400  # of what has ended
    give_up_s: Seconds = 86_400.0  # what could not be delivered for so long is dropped
    webhooks: Literal["public", "network", "anywhere"] = "network"  # anywhere: also to this machine and link-local
    smtp: SmtpConfig | None = None

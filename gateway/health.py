"""What is wrong with a gateway, in words; pure."""

from gateway.core.status import SiteState

NAMED_MAX = 5


def problems(state: SiteState) -> tuple[str, ...]:
    """One sentence each; empty: all is well."""
    found = []
    if state.buffer.error:
        found.append(f"nothing can be stored: {state.buffer.error}")
    if state.buffer.warning:
        found.append(state.buffer.warning)
    if state.buffer.dropped:
        found.append(f"{state.buffer.dropped} records were lost since the start")
    if not state.clock.known:
        found.append("the time is not known")
    if offline := [device.name for device in state.devices if device.presence == "offline"]:
        named = ", ".join(offline[:NAMED_MAX]) + (" and others" if len(offline) > NAMED_MAX else "")
        found.append(f"{len(offline)} of {len(state.devices)} devices do not answer: {named}")
    if state.sync.quarantined:
        found.append(f"the hub refuses {state.sync.quarantined} records or events for good")
    return tuple(found)

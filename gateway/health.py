"""What is wrong with a gateway, in words; pure."""

from gateway.core.status import SiteState

NAMED_MAX = 5
SILENT_MAX = 100


def faults(state: SiteState) -> tuple[str, ...]:
    """What is wrong with the store, one sentence each."""
    found = []
    if state.buffer.error:
        found.append(f"nothing can be stored: {state.buffer.error}")
    if state.buffer.warning:
        found.append(state.buffer.warning)
    if state.buffer.dropped:
        found.append(f"{state.buffer.dropped} records were lost since the start")
    return tuple(found)


def silent(state: SiteState) -> dict[str, int]:
    """The devices that do not answer: for how many seconds; those that do so for longest, where there are many."""
    silences = {d.name: max(0, state.now - d.since) // 1000 for d in state.devices if d.presence == "offline"}
    longest = sorted(silences, key=lambda name: silences[name], reverse=True)
    return {name: silences[name] for name in longest[:SILENT_MAX]}


def problems(state: SiteState) -> tuple[str, ...]:
    """One sentence each; empty: all is well."""
    found = list(faults(state))
    if not state.clock.known:
        found.append("the time is not known")
    if offline := [device.name for device in state.devices if device.presence == "offline"]:
        named = ", ".join(offline[:NAMED_MAX]) + (" and others" if len(offline) > NAMED_MAX else "")
        found.append(f"{len(offline)} of {len(state.devices)} devices do not answer: {named}")
    if state.sync.quarantined:
        found.append(f"the hub refuses {state.sync.quarantined} records or events for good")
    return tuple(found)

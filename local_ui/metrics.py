"""The site's state as Prometheus metrics, made when somebody asks; no other file knows that library."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.core.status import BufferState, BusState, DeviceState, SiteState, SyncState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNIT = ["bus", "unit", "device"]


def metrics_text(state: SiteState) -> bytes:
    """All metrics of this moment, in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(state))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, state: SiteState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        yield from _of_devices(self._state.devices, self._state.now)
        yield from _of_buses(self._state.buses)
        buffer, sync, clock = self._state.buffer, self._state.sync, self._state.clock
        yield GaugeMetricFamily("holdfast_clock_known", "1 where the time is known, 0 where it is guessed", clock.known)
        offset = "What the times of this start of the machine were, or would have been, corrected by"
        yield GaugeMetricFamily("holdfast_clock_offset_seconds", offset, clock.offset_ms / 1000)
        yield CounterMetricFamily("holdfast_clock_steps", "How often the clock was set while known", clock.steps)
        yield CounterMetricFamily("holdfast_records", "Records that the buffer has taken", buffer.head)
        yield GaugeMetricFamily("holdfast_buffer_bytes", "Size of the buffer's file and log", buffer.bytes)
        yield from _of_storage(buffer)
        yield GaugeMetricFamily("holdfast_buffer_healthy", "1 where the disk takes everything", not buffer.error)
        yield from _of_sync(sync)


def _of_sync(sync: SyncState) -> Iterator[Metric]:
    yield GaugeMetricFamily("holdfast_backlog_records", "Records that the hub has not acknowledged", sync.backlog)
    yield GaugeMetricFamily("holdfast_hub_connected", "1 where the last push was taken", sync.connected)
    yield GaugeMetricFamily(
        "holdfast_quarantined", "Records and events that the hub refuses for good", sync.quarantined
    )
    yield GaugeMetricFamily(
        "holdfast_sync_bytes_today", "Sent to the hub and received, since midnight", sync.bytes_today
    )
    yield GaugeMetricFamily("holdfast_differing_hours", "Hours of a poll group the hub has otherwise", sync.differing)
    waiting = GaugeMetricFamily("holdfast_backlog", "What the hub has not acknowledged", labels=["stream"])
    for stream in sync.streams:
        waiting.add_metric([stream.name], stream.backlog)
    yield waiting


def _of_storage(buffer: BufferState) -> Iterator[Metric]:
    yield GaugeMetricFamily("holdfast_buffer_budget_bytes", "Bytes that the buffer may have", buffer.budget)
    yield GaugeMetricFamily("holdfast_buffer_pending_records", "Records in memory, not yet on disk", buffer.pending)
    yield CounterMetricFamily("holdfast_buffer_dropped_records", "Records lost since the start", buffer.dropped)
    yield GaugeMetricFamily(
        "holdfast_thinned_hours", "Hours of a poll group that lost resolution", buffer.thinned_hours
    )
    if buffer.oldest:
        oldest_s = buffer.oldest / 1000
        yield GaugeMetricFamily("holdfast_buffer_oldest_timestamp_seconds", "Of the oldest whole record", oldest_s)
    if buffer.written_per_day:
        per_day = buffer.written_per_day
        yield GaugeMetricFamily(
            "holdfast_disk_written_bytes_per_day", "By all programs, at the last day's rate", per_day
        )


def _of_devices(devices: tuple[DeviceState, ...], now_ms: int) -> Iterator[Metric]:
    online = GaugeMetricFamily("holdfast_device_online", "1 where the device answers", labels=["device", "role"])
    age = GaugeMetricFamily("holdfast_device_age_seconds", "Age of the newest reading", labels=["device"])
    missed = CounterMetricFamily("holdfast_device_missed_polls", "Polls due while the bus was busy", labels=["device"])
    for device in devices:
        online.add_metric([device.name, device.role], device.presence == "online")
        missed.add_metric([device.name], device.missed)
        if device.ts:
            age.add_metric([device.name], max(0, now_ms - device.ts) / 1000)
    yield from (online, age, missed)


def _of_buses(buses: tuple[BusState, ...]) -> Iterator[Metric]:
    load = GaugeMetricFamily("holdfast_bus_load", "Share of the last minute in which it was busy", labels=["bus"])
    closed = CounterMetricFamily("holdfast_bus_disconnects", "Connections that were lost", labels=["bus"])
    noise = CounterMetricFamily("holdfast_bus_noise_bytes", "Bytes that nobody asked for", labels=["bus"])
    asked = CounterMetricFamily("holdfast_unit_questions", "Questions to a unit, by what came of them",
                                labels=[*UNIT, "outcome"])  # fmt: skip
    exceptions = CounterMetricFamily("holdfast_unit_exceptions", "Modbus exceptions by code", labels=[*UNIT, "code"])
    late = CounterMetricFamily("holdfast_unit_late_replies", "Replies that came too late", labels=UNIT)
    latency = GaugeMetricFamily("holdfast_unit_response_seconds", "Of the last 200 answers", labels=[*UNIT, "quantile"])
    for bus in buses:
        load.add_metric([bus.name], bus.load)
        closed.add_metric([bus.name], bus.disconnects)
        noise.add_metric([bus.name], bus.noise_bytes)
        for unit in bus.units:
            labels = [bus.name, str(unit.unit_id), unit.device]
            outcomes = {"answered": unit.answered, "timeout": unit.timeouts, "garbled": unit.garbled,
                        "foreign": unit.foreign}  # fmt: skip
            for outcome, count in outcomes.items():
                asked.add_metric([*labels, outcome], count)
            for code, count in unit.exceptions.items():
                exceptions.add_metric([*labels, code], count)
            late.add_metric(labels, unit.late)
            for quantile, value_ms in (("0.5", unit.median_ms), ("0.95", unit.p95_ms)):
                if value_ms is not None:
                    latency.add_metric([*labels, quantile], value_ms / 1000)
    yield from (load, closed, noise, asked, exceptions, late, latency)

"""The figures of a run, and what must be known to read them."""

from bench import page
from bench.figures import Figure, per
from bench.pushed import Batch
from bench.run import Measured
from bench.work import POLL_S, READINGS_PER_TICK

MILLION = 1e6
MB = 1e6
MS_PER_S = 1e3


def figures(run: Measured, batches: list[Batch]) -> list[Figure]:
    """In the order in which they are printed."""
    readings = _readings(run, batches)
    return [
        *_cpu(run, readings),
        *_memory(run),
        *_wire(run, batches, readings),
        *_to_page(run),
    ]


def _readings(run: Measured, batches: list[Batch]) -> dict[str, int]:
    """What each subject took within the window."""
    ticks = run.ticks | {"gateway": [tick for batch in batches for tick in batch.ticks]}
    start_ms, end_ms = run.start.at * 1000, run.end.at * 1000
    return {name: sum(count for at, count in own if start_ms <= at < end_ms) for name, own in ticks.items()}


def _cpu(run: Measured, readings: dict[str, int]) -> list[Figure]:
    unit = "s per million readings"
    used = {name: run.end.cpu_s[name] - run.start.cpu_s[name] for name in run.start.cpu_s}
    floors = {
        "bare pipe": per(used["pipe"], readings["pipe"], MILLION),
        "bare read": per(used["read"], readings["read"], MILLION),
    }
    return [
        Figure("processor time", unit, per(used["gateway"], readings["gateway"], MILLION), floors, "bare pipe", 3),
        Figure("processor time of the hub", unit, per(used["hub"], readings["gateway"], MILLION)),
    ]


def _memory(run: Measured) -> list[Figure]:
    own, pipe = run.memory["gateway"], run.memory["pipe"]
    return [
        Figure("memory, resident (RSS)", "MB", own.rss / MB, {"bare pipe": pipe.rss / MB}, most=70),
        Figure("memory, shared fairly (PSS)", "MB", own.pss / MB, {"bare pipe": pipe.pss / MB}),
        Figure("memory, not shared (USS)", "MB", own.uss / MB, {"bare pipe": pipe.uss / MB}),
    ]


def _wire(run: Measured, batches: list[Batch], readings: dict[str, int]) -> list[Figure]:
    start, end = run.start.at, run.end.at
    mine = [batch for batch in batches if start <= batch.at < end]
    delivered = sum(batch.readings for batch in mine)
    up = sum(len(request.head) + len(request.body) for request in run.proxy.requests() if start <= request.at < end)
    floors = {
        "lzma": per(sum(batch.lzma_bytes for batch in mine), delivered),
        "bare pipe": per(run.sink.body_bytes(start, end), readings["pipe"]),
    }
    unit = "bytes per reading"
    return [
        Figure(
            "wire, bodies of readings",
            unit,
            per(sum(batch.body_bytes for batch in mine), delivered),
            floors,
            "lzma",
            1.3,
        ),
        Figure("wire, all to the hub", unit, per(up, delivered), floors, "lzma"),
        Figure("wire, all from the hub", unit, per(run.proxy.bytes_down(start, end), delivered)),
    ]


def _to_page(run: Measured) -> list[Figure]:
    ages = page.ages(run.arrivals, run.farm.started_s, run.start.at, run.end.at)
    if not ages.value:
        return [Figure("from the reading to the page", "ms", None, why="nothing came")]
    rows = (("from the reading to the page", ages.value), ("from a change to the page", ages.change))
    return [
        Figure(f"{name}, {words}", "ms", MS_PER_S * page.quantile(ordered, share))
        for name, ordered in rows
        for words, share in (("median", 0.5), ("95 %", 0.95))
    ]


def notes(run: Measured, batches: list[Batch]) -> list[str]:
    """What was counted, what the figures include, and what the window was too short for."""
    readings = _readings(run, batches)
    due = round((run.end.at - run.start.at) / POLL_S) * READINGS_PER_TICK
    counted = ", ".join(f"{name} {count}" for name, count in readings.items())
    said = [
        f"Readings within the window, {due} due: {counted}; the gateway's are counted in what it delivered to the hub.",
        "The page: one reader on the event stream. From the reading: from the farm's answer to the event's receipt."
        f" From a change: with its wait for the next poll, 0 to {POLL_S} s. A browser's painting comes on top of both.",
        "The wire: bytes above TCP, without TLS; lzma has the same values column by column, without their times.",
        f"Segments that the buffer had sealed at the end: {run.segments}.",
    ]
    if run.segments == 0:
        said.append(
            "Sealing, which is work and bytes too, did not happen yet: a longer run has it, such as --seconds 900."
        )
    return said

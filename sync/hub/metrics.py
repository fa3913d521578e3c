"""GET /metrics of the hub, for Prometheus; no other file of the hub knows that library.

What this process does is counted as it is done; what all of them share is asked of the database with each scrape. No
label is a node's: a fleet has tens of thousands.
"""

from collections.abc import Iterator, Mapping
from typing import get_args

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.core import credential
from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from sync import wire
from sync.hub.alerts.causes import KINDS
from sync.hub.alerts.store import Alerts, FleetTotals
from sync.hub.intake.door import Refused, Takes
from sync.hub.store.chores import Chores
from sync.hub.web.api import ApiError, Refusal, SignIn, json_response
from sync.hub.web.rights import Role

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TYPES = get_args(wire.BatchType)


class Meters:
    """What one process counts."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._batches = self._counter("batches", "Batches of nodes, by what became of them", "type", "result")
        self._rows = self._counter("rows", "Records, events and layouts that came in batches", "type", "result")
        self._bytes = self._counter("batch_bytes", "Bytes of batches as they came to the door", "type")
        self._batch_seconds = Histogram(
            "holdfast_hub_batch_seconds", "How long a batch took, from its last byte to the answer", ["type"],
            buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self._requests = Histogram(
            "holdfast_hub_request_seconds", "How long a request took", ["method", "route", "status"],
            buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"holdfast_hub_{name}", words, labels, registry=self.registry)

    def batch(self, batch_type: str, size: int, result: str, seconds: float, answer: wire.Answer | None) -> None:
        kind = batch_type if batch_type in TYPES else "other"
        self._batches.labels(kind, result).inc()
        self._bytes.labels(kind).inc(size)
        self._batch_seconds.labels(kind).observe(seconds)
        if answer is not None:
            self._rows.labels(kind, "accepted").inc(answer.accepted)
            self._rows.labels(kind, "duplicate").inc(answer.duplicate)
            self._rows.labels(kind, "rejected").inc(len(answer.rejected))

    @web.middleware
    async def times(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Of all requests; not of those that last because they wait."""
        begun_s, status = self.clock.monotonic_s(), 500
        response: web.StreamResponse | None = None
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            resource = request.match_info.route.resource
            route = resource.canonical if resource is not None else "none"
            waits = route == wire.COMMANDS_PATH or (
                response is not None and response.content_type == "text/event-stream"
            )
            if not waits:
                method = request.method if request.method in ("GET", "POST", "PUT", "DELETE", "HEAD") else "other"
                self._requests.labels(method, route, f"{status // 100}xx").observe(self.clock.monotonic_s() - begun_s)


class CountedDoor:
    """Meets `Takes`: the door, each batch counted."""

    def __init__(self, door: Takes, meters: Meters) -> None:
        self._door = door
        self._meters = meters

    async def take(self, node: str, batch_type: str, cursor_text: str, body: bytes) -> wire.Answer:
        """See `Door.take`."""
        begun_s, result, answer = self._meters.clock.monotonic_s(), "failed", None
        try:
            answer = await self._door.take(node, batch_type, cursor_text, body)
            result = "taken"
            return answer
        except Refused as refused:
            result = "wanted" if refused.wanted else "refused"
            raise
        finally:
            took_s = self._meters.clock.monotonic_s() - begun_s
            self._meters.batch(batch_type, len(body), result, took_s, answer)


class Metrics:
    """The handler: for who may look at everything, and for who has the token."""

    def __init__(
        self, meters: Meters, alerts: Alerts, chores: Chores, sign_in: SignIn, token_sha256: str | None
    ) -> None:
        self._meters = meters
        self._alerts = alerts
        self._chores = chores
        self._sign_in = sign_in
        self._token_sha256 = token_sha256

    async def handle(self, request: web.Request) -> web.Response:
        """GET /metrics -> text as Prometheus wants it"""
        try:
            await self._check(request)
        except ApiError as error:
            return json_response(error.status, Refusal(str(error)))
        except StorageError:
            return json_response(503, Refusal("the hub's store fails just now"))
        body = generate_latest(self._meters.registry) + await self._shared()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})

    async def _check(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and credential.matches(token.strip(), self._token_sha256):
            return
        caller = await self._sign_in.caller(request)
        if caller is None:
            raise ApiError(401, "sign in first, or bring the token of metrics_token_sha256")
        if not caller.may(Role.VIEWER):
            raise ApiError(403, "that wants the role viewer everywhere")

    async def _shared(self) -> bytes:
        """Where the store fails, what this process counts is told all the same."""
        registry = CollectorRegistry()
        try:
            totals, standing = await self._alerts.totals(), await self._alerts.standing()
        except StorageError:
            registry.register(_Snapshot(False, None, {}, self._chores))
        else:
            registry.register(_Snapshot(True, totals, standing, self._chores))
        return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, store_up: bool, totals: FleetTotals | None, standing: Mapping[str, int], chores: Chores) -> None:
        self._store_up = store_up
        self._totals = totals
        self._standing = standing
        self._chores = chores

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("holdfast_hub_store_up", "1 where the store answers", self._store_up)
        if self._store_up:
            alerts = GaugeMetricFamily("holdfast_hub_alerts", "Alerts that stand", labels=["kind"])
            for kind in KINDS:
                alerts.add_metric([kind], self._standing.get(kind, 0))
            yield alerts
        if self._totals is not None:
            yield from _of_fleet(self._totals)
        done = GaugeMetricFamily(
            "holdfast_hub_chore_done_timestamp_seconds", "When this process last did a chore", labels=["chore"]
        )
        failing = GaugeMetricFamily("holdfast_hub_chore_failing", "1 where it failed the last time", labels=["chore"])
        for chore in self._chores.all:
            failing.add_metric([chore.name], chore.name in self._chores.failed)
            if chore.name in self._chores.done:
                done.add_metric([chore.name], self._chores.done[chore.name] / 1000)
        yield done
        yield failing


def _of_fleet(totals: FleetTotals) -> Iterator[Metric]:
    yield GaugeMetricFamily("holdfast_hub_nodes", "Nodes that were heard of and may come in", totals.nodes)
    yield GaugeMetricFamily("holdfast_hub_nodes_online", "Of these, online", totals.online)
    backlog = "Records that the nodes have and the hub does not, by their last heartbeats"
    yield GaugeMetricFamily("holdfast_hub_backlog_records", backlog, totals.backlog)
    looked = "When the fleet was last looked at"
    yield GaugeMetricFamily("holdfast_hub_fleet_timestamp_seconds", looked, totals.at / 1000)

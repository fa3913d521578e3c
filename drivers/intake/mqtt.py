"""What devices send to an MQTT broker; a message is acknowledged when its readings are on the disk.

The session outlives the connection: the broker keeps what comes while we are away, and gives once
more what we did not acknowledge.
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

import aiomqtt

from drivers.intake.topics import Topic
from gateway.core.authorities import trusting
from gateway.core.clock import Clock
from gateway.core.errors import CodecError, StorageError
from gateway.core.pushed import Parcel, Parsed
from gateway.core.ration import Ration

FULL_PAUSES = 4  # as after so many failures, where the disk takes nothing
SUBSCRIPTION_REFUSED = 0x80  # MQTT 3.1.1, 3.9.3
AT_ONCE = 200  # messages that go into one commit
BUG_S = 3600  # between two accounts of bugs in the log
WAITING_MAX = 10_000  # messages in memory; only those of QoS 0 can ever be so many

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and how it knows us."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = None
    tls_ca: Path | None = None


class MessageSink(Protocol):
    """Who takes what the messages say."""

    def knows(self, device: str) -> bool: ...
    def welcome(self, device: str) -> bool:
        """Take a device that is not in the configuration; False where that cannot be."""
        ...

    async def parse(self, device: str, body: bytes, content_type: str = "", metric: str = "") -> Parsed:
        """Raises CodecError."""
        ...

    async def take(self, parcels: Sequence[Parcel]) -> object:
        """On the disk when this returns. Raises StorageError."""
        ...


class MqttIntake:
    """One broker's messages."""

    def __init__(
        self, broker: Broker, topics: Sequence[Topic], sink: MessageSink, clock: Clock, random: Random,
        *, pause_max_s: float = 60,
    ) -> None:  # fmt: skip
        """Raises ConfigError where the file of certificates cannot be used."""
        self._broker = broker
        self._topics = topics
        self._sink = sink
        self._random = random
        self._pause_max_s = pause_max_s
        self._ration = Ration(clock)
        self._bugs = Ration(clock, BUG_S)
        self._tls = _tls(broker.tls_ca)
        self.connected: bool | None = None  # None: not tried yet
        self.refused = 0  # messages that nobody could take: of unknown devices, or unreadable

    async def run(self) -> None:
        """Take messages for ever, connecting again whenever that is needed. Run until cancelled."""
        failures = 0
        while True:
            try:
                async with self._client() as client:
                    failures = 0
                    await self._listen(client)
            except aiomqtt.MqttError as error:
                self._away(str(error))
            except StorageError:  # the buffer says so itself; the broker gives again what we did not acknowledge
                failures = FULL_PAUSES
            except Exception as error:  # the bulkhead: a bug in here must not end the gateway
                failures = max(failures, FULL_PAUSES)
                self._stumbled(error)
                self._away(f"the intake failed: {error!r}")
            failures = min(failures + 1, 10)
            await asyncio.sleep(self._random.uniform(0.5, 1) * min(self._pause_max_s, 2.0 ** (failures - 1)))

    def _client(self) -> aiomqtt.Client:
        broker = self._broker
        client = aiomqtt.Client(
            broker.host, broker.port, username=broker.username, password=broker.password,
            identifier=broker.client_id, clean_session=False, tls_context=self._tls,
            max_queued_incoming_messages=WAITING_MAX, keepalive=30,
        )  # fmt: skip
        client._client.manual_ack_set(True)  # aiomqtt has no word of its own for it
        return client

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Take what comes until the connection ends, which raises MqttError; or the disk does, StorageError."""
        granted: Sequence[Any] = await client.subscribe([(topic.filter, topic.qos) for topic in self._topics])
        for topic, code in zip(self._topics, granted, strict=True):
            if getattr(code, "value", code) >= SUBSCRIPTION_REFUSED:
                log.warning("broker refuses subscription", extra={"topic": topic.filter})
        if self.connected is not True:
            log.info("broker connected", extra={"broker": self._broker.host})
        self.connected = True
        async for first in client.messages:
            messages = [first]
            while len(client.messages) and len(messages) < AT_ONCE:
                messages.append(await anext(client.messages))
            parcels = [(str(message.topic), await self._parcel(message)) for message in messages]
            await self._take([(topic, parcel) for topic, parcel in parcels if parcel is not None])
            for message in messages:
                if message.qos:
                    client._client.ack(message.mid, message.qos)

    async def _take(self, parcels: Sequence[tuple[str, Parcel]]) -> None:
        """In one commit; where a bug prevents that, each for itself, and the one that meets it is refused."""
        try:
            await self._sink.take([parcel for _, parcel in parcels])
        except StorageError:
            raise
        except Exception as error:  # the bulkhead
            if len(parcels) > 1:
                for one in parcels:
                    await self._take([one])
                return
            self._stumbled(error)
            for topic, _ in parcels:
                self._refuse(topic, f"the intake failed: {error!r}")

    async def _parcel(self, message: aiomqtt.Message) -> Parcel | None:
        """None for a message that is not to be taken; it is acknowledged all the same, or it would come for ever."""
        topic = str(message.topic)
        try:
            pattern, device, metric = self._whose(topic)
            body = message.payload if isinstance(message.payload, bytes) else b""
            parsed = await self._sink.parse(device, body, metric=metric)
        except CodecError as error:
            self._refuse(topic, str(error))
            return None
        except Exception as error:  # the bulkhead
            self._stumbled(error)
            self._refuse(topic, f"the intake failed: {error!r}")
            return None
        if parsed.rejected:
            self._refuse(topic, parsed.rejected[0].reason)
        if message.retain:  # kept by the broker since whenever: without a time of its own it says nothing
            parsed = Parsed([record for record in parsed.records if record.ts_ms is not None])
        return Parcel(device, parsed, pattern.group)

    def _whose(self, topic: str) -> tuple[Topic, str, str]:
        """Pattern, device and metric. Raises CodecError where the device is none of ours."""
        for pattern in self._topics:
            if found := pattern.match(topic):
                device, metric = found
                if self._sink.knows(device) or (pattern.accept_new and self._sink.welcome(device)):
                    return pattern, device, metric
                raise CodecError(f"{device:.64} is not a device of this site")
        raise CodecError("no pattern fits the topic")

    def _refuse(self, topic: str, why: str) -> None:
        self.refused += 1
        if (suppressed := self._ration.spend()) is not None:
            log.warning("message refused", extra={"topic": topic[:200], "why": why, "suppressed": suppressed})

    def _stumbled(self, error: Exception) -> None:
        if (suppressed := self._bugs.spend()) is not None:
            log.error("intake failed", exc_info=error, extra={"suppressed": suppressed})

    def _away(self, why: str) -> None:
        if self.connected is not False:
            log.warning("broker away", extra={"broker": self._broker.host, "why": why})
        self.connected = False


def _tls(authorities: Path | None) -> ssl.SSLContext | None:
    return None if authorities is None else trusting(authorities, "mqtt.tls_ca")

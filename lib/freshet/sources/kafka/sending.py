"""Sends messages to a topic at a given pace, each exactly once and in order."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, Producer

from freshet.core.errors import SetupError
from freshet.sources.kafka.topics import ANSWER_SECONDS, LOG, broker_mistakes


@dataclass(frozen=True)
class Pace:
    """A fixed number of messages a second, or the events' own times sped up; with neither, as fast as possible."""

    rate: float | None = None
    speed_up: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and self.speed_up is not None:
            raise ValueError("rate and speed_up exclude each other")
        if any(value is not None and value <= 0 for value in (self.rate, self.speed_up)):
            raise ValueError("rate and speed_up must be above 0")

    def due(self, number: int, after: float) -> float:
        """Seconds from the start to message `number` (from 0), whose event came `after` seconds after the first."""
        if self.rate is not None:
            return number / self.rate
        return after / self.speed_up if self.speed_up is not None else 0.0


_DEFAULTS = {
    # A message that is sent again after a lost answer is still in its partition once, and in its place.
    "enable.idempotence": "true",
    "acks": "all",
    "compression.type": "lz4",
    # The same partition for a key as Java producers choose, so that a shopper's events stay in one partition.
    "partitioner": "murmur2_random",
    # Enough to fill batches at full speed, and too short to matter for the latency of a single event.
    "linger.ms": "5",
    # How long to wait for a broker that restarts; then the replay ends with an error.
    "message.timeout.ms": "120000",
}

_LONGEST_WAIT = 0.2


class Message(NamedTuple):
    """One message: the seconds between the first event and its event, key and value."""

    after: float
    key: bytes
    value: bytes


class Sender:
    """An idempotent producer for one topic; it ends with SetupError at the first message that cannot be delivered."""

    def __init__(self, options: Mapping[str, str], topic: str) -> None:
        """Raises SetupError when no broker answers, InputError for options that the client does not accept."""
        self._servers, self._topic = options.get("bootstrap.servers", "Kafka"), topic
        self._failure = self._complaint = ""
        self.delivered = 0
        with broker_mistakes(options):
            settings: dict[str, Any] = {**_DEFAULTS, **options, "error_cb": self._complained}
            self._producer = Producer(settings, logger=LOG)
            self._producer.list_topics(timeout=ANSWER_SECONDS)

    def send(self, key: bytes, value: bytes) -> None:
        """Queues a message for sending; waits while the producer's memory is full."""
        while True:
            try:
                self._producer.produce(self._topic, value=value, key=key, on_delivery=self._delivered)
                return
            except BufferError:
                self.wait(_LONGEST_WAIT)

    def wait(self, seconds: float) -> None:
        """Waits up to `seconds`, less when the broker answers. Raises SetupError after a failed delivery."""
        # The client counts whole milliseconds and rounds less than one down to 0, which would be a busy wait.
        self._producer.poll(math.ceil(1000 * seconds) / 1000)
        if self._failure:
            raise SetupError(
                "a message could not be delivered", where=f"topic {self._topic} of {self._servers}",
                found="; ".join(text for text in (self._failure, self._complaint) if text),
            )  # fmt: skip

    def finish(self) -> None:
        """Waits until every message is delivered. Raises SetupError when one is not."""
        # In short intervals: one long flush could not be interrupted by the user.
        while self._producer.flush(_LONGEST_WAIT):
            self.wait(0)
        self.wait(0)

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is None:
            self.delivered += 1
        elif not self._failure:
            self._failure = error.str()

    def _complained(self, error: KafkaError) -> None:
        self._complaint = error.str()


def send_paced(
    sender: Sender,
    messages: Iterable[Message],
    pace: Pace,
    *,
    clock: Callable[[], float],
    stamped: Callable[[bytes], bytes] = lambda value: value,
    notify: Callable[[int, Message], None] = lambda number, message: None,
) -> int:
    """Sends every message when it is due, waits until all are delivered and returns their number.

    `clock` gives seconds. `stamped` makes the value that is sent, at the moment of sending. `notify` is called with
    the count so far for every queued message. Raises SetupError when one cannot be delivered.
    """
    start, number = clock(), 0
    for message in messages:
        due = start + pace.due(number, message.after)
        sender.wait(0)
        while (left := due - clock()) > 0:
            sender.wait(min(left, _LONGEST_WAIT))
        sender.send(message.key, stamped(message.value))
        number += 1
        notify(number, message)
    sender.finish()
    return number

"""Reads facts about the topics of a broker, and creates and deletes topics."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from freshet.core.errors import InputError, TransientError

ANSWER_SECONDS = 10.0
"""How long a broker may take to answer before it counts as absent."""

Found = TypeVar("Found")

LOG = logging.getLogger("freshet.kafka")
# The client library would otherwise write about lost connections to standard error, into our own output.
LOG.addHandler(logging.NullHandler())


def topic_exists(options: Mapping[str, str], topic: str) -> bool:
    """Whether the broker has this topic. `options` has the broker's address, bootstrap.servers. Raises SetupError."""
    return topic in partitions_of_topics(options)


def partitions_of_topics(options: Mapping[str, str]) -> dict[str, int]:
    """The number of partitions of every topic. Raises SetupError when no broker answers."""
    with broker_mistakes(options):
        # All topics: asking for one by name would create it where topics are created on first use.
        topics = _admin(options).list_topics(timeout=ANSWER_SECONDS).topics
    return {name: len(found.partitions) for name, found in topics.items() if found.error is None}


def end_offsets(options: Mapping[str, str], topic: str) -> dict[int, int]:
    """Per partition the offset of the next message. Raises InputError for an unknown topic, and SetupError.

    Waits for a partition whose leader is being chosen, as after creating a topic or restarting a broker.
    """
    return _settled(options, topic, _partitions(options, topic), OffsetSpec.latest())


def begin_offsets(options: Mapping[str, str], topic: str) -> dict[int, int]:
    """Per partition the offset of the oldest message that has not expired, as `end_offsets`."""
    return _settled(options, topic, _partitions(options, topic), OffsetSpec.earliest())


def topic_id(options: Mapping[str, str], topic: str) -> str | None:
    """The id that distinguishes a topic from a deleted one of the same name; None if the broker gives no ids.

    Raises InputError for an unknown topic, TransientError when no broker answers.
    """
    with broker_mistakes(options):
        admin = _admin(options)  # must outlive its answers
        answer = admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_SECONDS)[topic]
        found = answer.result().topic_id
    words = found.get_most_significant_bits(), found.get_least_significant_bits()
    return "".join(f"{word & _WORD:016x}" for word in words) if any(words) else None


def _partitions(options: Mapping[str, str], topic: str) -> int:
    partitions = partitions_of_topics(options).get(topic)
    if partitions is None:
        raise InputError("there is no such topic", where=f"topic {topic} of {_servers(options)}")
    return partitions


def _settled(options: Mapping[str, str], topic: str, partitions: int, spec: OffsetSpec) -> dict[int, int]:
    """Offsets of this many partitions, as soon as the leader of each is chosen."""
    asked = {TopicPartition(topic, number): spec for number in range(partitions)}

    def answered() -> dict[int, int] | None:
        answers = admin.list_offsets(asked, request_timeout=ANSWER_SECONDS)
        try:
            return {place.partition: answer.result().offset for place, answer in answers.items()}
        except KafkaException as error:
            if error.args[0].name() in _NOT_SETTLED:
                return None
            raise

    with broker_mistakes(options):
        admin = _admin(options)  # must outlive its answers
        return _awaited(answered, options, f"topic {topic} has partitions without a leader")


def create_topic(options: Mapping[str, str], topic: str, partitions: int = 2) -> None:
    """Creates a topic without replicas. Raises InputError when it exists already, SetupError without a broker.

    Returns when every partition can be written and read: a broker confirms a topic before it is ready.
    """
    made = NewTopic(topic, num_partitions=partitions, replication_factor=1)
    with broker_mistakes(options):
        admin = _admin(options)
        answers = admin.create_topics([made], operation_timeout=ANSWER_SECONDS)
        for answer in answers.values():
            answer.result()
    _settled(options, topic, partitions, OffsetSpec.latest())


def delete_topic(options: Mapping[str, str], topic: str) -> None:
    """Deletes a topic with all messages. Raises InputError for an unknown topic, SetupError without a broker."""
    with broker_mistakes(options):
        admin = _admin(options)
        answers = admin.delete_topics([topic], operation_timeout=ANSWER_SECONDS)
        for answer in answers.values():
            answer.result()
        # A broker confirms this too before it is done.
        _awaited(
            lambda: topic not in admin.list_topics(timeout=ANSWER_SECONDS).topics or None,
            options, f"topic {topic} is still there",
        )  # fmt: skip


def _awaited(answer: Callable[[], Found | None], options: Mapping[str, str], trouble: str) -> Found:
    """The first answer that is not None. Raises TransientError when there is none after ANSWER_SECONDS."""
    end = time.monotonic() + ANSWER_SECONDS
    while (found := answer()) is None:
        if time.monotonic() > end:
            raise TransientError(trouble, where=_servers(options), do="Are all brokers of the cluster running?")
        time.sleep(_LOOK_SECONDS)
    return found


@contextmanager
def broker_mistakes(options: Mapping[str, str]) -> Iterator[None]:
    """Turns errors of the client library into ours: TransientError without an answer, else InputError."""
    try:
        yield
    except KafkaException as error:
        reason = error.args[0]
        if reason.name() in _NO_ANSWER:
            raise TransientError(
                "no Kafka broker answers", where=_servers(options), found=reason.str(),
                do="Is it running, and do security.protocol and the sasl and ssl options fit?",
            ) from None  # fmt: skip
        raise InputError(f"Kafka refuses this: {reason.str()}", where=_servers(options)) from None
    except TimeoutError:
        raise TransientError("no Kafka broker answers", where=_servers(options)) from None


_NO_ANSWER = ("_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_AUTHENTICATION", "_SSL")

_NOT_SETTLED = (
    "NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "OFFSET_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PART",
    "FENCED_LEADER_EPOCH", "UNKNOWN_LEADER_EPOCH", "_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC", "_NOENT",
)  # fmt: skip
"""Error codes of a broker while leaders are being chosen."""

_LOOK_SECONDS = 0.05

_WORD = 2**64 - 1


def _admin(options: Mapping[str, str]) -> AdminClient:
    """An admin client. Keep it in a variable until its answers have arrived."""
    return AdminClient(dict(options), logger=LOG)


def _servers(options: Mapping[str, str]) -> str:
    return options.get("bootstrap.servers", "Kafka")

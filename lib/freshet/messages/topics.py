"""Facts of the topics of a broker, and making and deleting them."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from freshet.errors import InputError, TransientError

ANSWER_SECONDS = 10.0
"""How long a broker may take to answer before it counts as absent."""

LOG = logging.getLogger("freshet.kafka")
# The client library would write about lost connections to standard error, past any line of ours.
LOG.addHandler(logging.NullHandler())


def topic_exists(options: Mapping[str, str], topic: str) -> bool:
    """Whether the broker has this topic. `options` name the broker by bootstrap.servers. Raises SetupError."""
    return topic in partitions_of_topics(options)


def partitions_of_topics(options: Mapping[str, str]) -> dict[str, int]:
    """The number of partitions of every topic. Raises SetupError when no broker answers."""
    with broker_mistakes(options):
        # All topics: asking for one by name would make it where topics are made when first used.
        topics = _admin(options).list_topics(timeout=ANSWER_SECONDS).topics
    return {name: len(found.partitions) for name, found in topics.items() if found.error is None}


def end_offsets(options: Mapping[str, str], topic: str) -> dict[int, int]:
    """Per partition the offset of the next message to come. Raises InputError for an unknown topic, and SetupError."""
    partitions = partitions_of_topics(options).get(topic)
    if partitions is None:
        raise InputError("there is no such topic", where=f"topic {topic} of {_servers(options)}")
    asked = {TopicPartition(topic, number): OffsetSpec.latest() for number in range(partitions)}
    with broker_mistakes(options):
        admin = _admin(options)
        answers = admin.list_offsets(asked, request_timeout=ANSWER_SECONDS)
        return {place.partition: answer.result().offset for place, answer in answers.items()}


def create_topic(options: Mapping[str, str], topic: str, partitions: int = 2) -> None:
    """Makes a topic without replicas. Raises InputError when it is there already, SetupError without a broker."""
    made = NewTopic(topic, num_partitions=partitions, replication_factor=1)
    with broker_mistakes(options):
        admin = _admin(options)  # must outlive its answers
        answers = admin.create_topics([made], operation_timeout=ANSWER_SECONDS)
        for answer in answers.values():
            answer.result()


def delete_topic(options: Mapping[str, str], topic: str) -> None:
    """Deletes a topic with all messages. Raises InputError for an unknown topic, SetupError without a broker."""
    with broker_mistakes(options):
        admin = _admin(options)
        answers = admin.delete_topics([topic], operation_timeout=ANSWER_SECONDS)
        for answer in answers.values():
            answer.result()


@contextmanager
def broker_mistakes(options: Mapping[str, str]) -> Iterator[None]:
    """What the client library raises, as errors of ours: TransientError without an answer, else InputError."""
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


_PATIENCE = 3 * ANSWER_SECONDS
"""For answers that the library promises: it gives none when its client is gone."""


def _admin(options: Mapping[str, str]) -> AdminClient:
    """A client that has to be kept in a variable until its answers are there."""
    return AdminClient(dict(options), logger=LOG)


def _servers(options: Mapping[str, str]) -> str:
    return options.get("bootstrap.servers", "Kafka")

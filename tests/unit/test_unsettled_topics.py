"""Topics whose brokers have promised more than they can tell yet, by a client that stands in for theirs."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from freshet.core.errors import InputError, TransientError
from freshet.sources.kafka import topics
from freshet.sources.kafka.topics import end_offsets


class _Unsettled:
    """An admin client of a broker that has promised a topic: its first `refusals` answers are this error."""

    def __init__(self, error: int, refusals: int) -> None:
        self.error = error
        self.refusals = refusals

    def list_topics(self, timeout: float) -> Any:
        return SimpleNamespace(topics={"fresh": SimpleNamespace(partitions={0: None}, error=None)})

    def list_offsets(self, partitions: dict[TopicPartition, Any], request_timeout: float) -> dict[TopicPartition, Any]:
        answer: Future[Any] = Future()
        if self.refusals > 0:
            answer.set_exception(KafkaException(KafkaError(self.error)))
        else:
            answer.set_result(SimpleNamespace(offset=7))
        self.refusals -= 1
        return dict.fromkeys(partitions, answer)


@pytest.mark.parametrize(
    "error",
    [
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        # What the client library itself says where the broker names no leader at all.
        KafkaError._NOENT,
    ],
)
def test_a_topic_whose_leaders_are_being_chosen_is_waited_for(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"bootstrap.servers": "here"}
    monkeypatch.setattr(topics, "_admin", lambda options: _Unsettled(error, refusals=3))
    assert end_offsets(options, "fresh") == {0: 7}
    monkeypatch.setattr(topics, "_admin", lambda options: _Unsettled(error, refusals=10_000))
    monkeypatch.setattr(topics, "ANSWER_SECONDS", 0.2)
    with pytest.raises(TransientError, match="topic fresh has partitions without a leader"):
        end_offsets(options, "fresh")


def test_another_refusal_of_a_broker_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = _Unsettled(KafkaError.TOPIC_AUTHORIZATION_FAILED, refusals=2)
    monkeypatch.setattr(topics, "_admin", lambda options: refusing)
    with pytest.raises(InputError, match="Kafka refuses this"):
        end_offsets({"bootstrap.servers": "here"}, "fresh")
    assert refusing.refusals == 1

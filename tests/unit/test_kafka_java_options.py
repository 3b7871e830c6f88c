"""Options of librdkafka as Spark's Kafka source takes them."""

import pytest

from freshet.errors import InputError
from freshet.messages.java import spark_options

pytestmark = pytest.mark.unit


def test_a_login_becomes_one_of_java() -> None:
    told = {
        "bootstrap.servers": "a:1,b:2", "security.protocol": "SASL_SSL", "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "shop", "sasl.password": 'a"b\\c', "ssl.ca.location": "/etc/ca.pem",
    }  # fmt: skip
    assert spark_options(told) == {
        "kafka.bootstrap.servers": "a:1,b:2",
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "SCRAM-SHA-512",
        "kafka.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="shop" password="a\\"b\\\\c";',
        "kafka.ssl.truststore.type": "PEM",
        "kafka.ssl.truststore.location": "/etc/ca.pem",
    }


def test_what_has_no_counterpart_is_named_without_its_value() -> None:
    with pytest.raises(InputError) as refused:
        spark_options({"bootstrap.servers": "a:1", "ssl.key.password": "hidden"})
    assert "ssl.key.password" in str(refused.value)
    assert "hidden" not in str(refused.value)
    with pytest.raises(InputError, match="SASL mechanism GSSAPI"):
        spark_options({"sasl.mechanisms": "GSSAPI"})

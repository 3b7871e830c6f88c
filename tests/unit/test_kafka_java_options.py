"""Options of librdkafka as Spark's Kafka source takes them."""

from pathlib import Path

import pytest

from freshet.core.errors import InputError
from freshet.sources.kafka.java_options import spark_options

pytestmark = pytest.mark.unit


def test_a_login_becomes_one_of_java() -> None:
    options = {
        "bootstrap.servers": "a:1,b:2", "security.protocol": "SASL_SSL", "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "shop", "sasl.password": 'a"b\\c', "ssl.ca.location": "/etc/ca.pem",
    }  # fmt: skip
    assert spark_options(options) == {
        "kafka.bootstrap.servers": "a:1,b:2",
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "SCRAM-SHA-512",
        "kafka.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="shop" password="a\\"b\\\\c";',
        "kafka.ssl.truststore.type": "PEM",
        "kafka.ssl.truststore.location": "/etc/ca.pem",
    }


def test_how_long_a_broker_holds_back_its_answer_has_another_name_in_java() -> None:
    assert spark_options({"bootstrap.servers": "a:1", "fetch.wait.max.ms": "7"}) == {
        "kafka.bootstrap.servers": "a:1",
        "kafka.fetch.max.wait.ms": "7",
    }


def test_what_has_no_counterpart_is_named_without_its_value() -> None:
    with pytest.raises(InputError) as refused:
        spark_options({"bootstrap.servers": "a:1", "ssl.key.pem": "hidden"})
    assert "ssl.key.pem" in str(refused.value)
    assert "hidden" not in str(refused.value)
    with pytest.raises(InputError, match="SASL mechanism GSSAPI"):
        spark_options({"sasl.mechanisms": "GSSAPI"})


def test_a_client_s_certificate_and_key_reach_the_java_client_by_their_texts(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nchain\n")
    (tmp_path / "key.pem").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nkey\n")
    given = {
        "ssl.certificate.location": str(tmp_path / "cert.pem"), "ssl.key.location": str(tmp_path / "key.pem"),
        "ssl.key.password": "pw",
    }  # fmt: skip
    assert spark_options(given) == {
        "kafka.ssl.keystore.type": "PEM",
        "kafka.ssl.keystore.certificate.chain": "-----BEGIN CERTIFICATE-----\nchain\n",
        "kafka.ssl.keystore.key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nkey\n",
        "kafka.ssl.key.password": "pw",
    }
    store = {"ssl.keystore.location": "/etc/me.p12", "ssl.keystore.password": "pw"}
    assert spark_options(store) == {
        "kafka.ssl.keystore.type": "PKCS12",
        "kafka.ssl.keystore.location": "/etc/me.p12",
        "kafka.ssl.keystore.password": "pw",
    }
    with pytest.raises(InputError, match="cannot be read: No such file"):
        spark_options({"ssl.key.location": str(tmp_path / "none.pem")})

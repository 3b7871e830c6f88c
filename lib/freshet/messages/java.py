"""Options of librdkafka as those of Kafka's Java client, which Spark uses."""

from collections.abc import Mapping

from freshet.errors import InputError

_LOGINS = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}

_SAME = ("bootstrap.servers", "security.protocol", "client.id", "ssl.endpoint.identification.algorithm")


def spark_options(options: Mapping[str, str]) -> dict[str, str]:
    """`options` of librdkafka as options of Spark's Kafka source: `kafka.` and the Java client's name for each.

    Certificates are PEM files in both. Raises InputError for an option that has no counterpart, and for a SASL
    mechanism that is neither PLAIN nor SCRAM.
    """
    java: dict[str, str] = {}
    left = dict(options)
    for name in _SAME:
        if name in left:
            java[name] = left.pop(name)
    mechanism = left.pop("sasl.mechanisms", left.pop("sasl.mechanism", None))
    if mechanism is not None:
        java["sasl.mechanism"] = mechanism
        java["sasl.jaas.config"] = _login(mechanism, left.pop("sasl.username", ""), left.pop("sasl.password", ""))
    if "ssl.ca.location" in left:
        java |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": left.pop("ssl.ca.location")}
    if left:
        raise InputError(
            f"Kafka option {', '.join(sorted(left))} cannot be passed to Spark",
            expected=", ".join([*_SAME, "sasl.mechanisms", "sasl.username", "sasl.password", "ssl.ca.location"]),
        )
    return {f"kafka.{name}": value for name, value in java.items()}


def _login(mechanism: str, name: str, password: str) -> str:
    if mechanism not in _LOGINS:
        raise InputError(f"SASL mechanism {mechanism} is not known", expected=", ".join(_LOGINS))
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in (name, password)]
    return f'{_LOGINS[mechanism]} required username="{quoted[0]}" password="{quoted[1]}";'

"""Options of librdkafka translated to those of Kafka's Java client, which Spark uses."""

from collections.abc import Mapping
from pathlib import Path

from freshet.core.errors import InputError

_LOGINS = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}

_SAME = ("bootstrap.servers", "security.protocol", "client.id", "ssl.endpoint.identification.algorithm")

_RENAMED = {"fetch.wait.max.ms": "fetch.max.wait.ms"}

_PEM_FILES = {
    "ssl.certificate.location": "ssl.keystore.certificate.chain",
    "ssl.key.location": "ssl.keystore.key",
}
_KEYSTORE = {
    "ssl.keystore.location": "ssl.keystore.location",
    "ssl.keystore.password": "ssl.keystore.password",
}


def spark_options(options: Mapping[str, str]) -> dict[str, str]:
    """`options` of librdkafka as options of Spark's Kafka source: `kafka.` and the Java client's name for each.

    Certificates and keys are PEM files in both, a keystore is a PKCS#12 file. The Java client takes the text of a key
    and of its certificate, the key as PKCS#8. Raises InputError for an option without a counterpart, for a file that
    cannot be read, and for a SASL mechanism that is neither PLAIN nor SCRAM.
    """
    java: dict[str, str] = {}
    left = dict(options)
    for name in _SAME:
        if name in left:
            java[name] = left.pop(name)
    java |= {java_name: left.pop(name) for name, java_name in _RENAMED.items() if name in left}
    mechanism = left.pop("sasl.mechanisms", left.pop("sasl.mechanism", None))
    if mechanism is not None:
        java["sasl.mechanism"] = mechanism
        java["sasl.jaas.config"] = _login(mechanism, left.pop("sasl.username", ""), left.pop("sasl.password", ""))
    if "ssl.ca.location" in left:
        java |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": left.pop("ssl.ca.location")}
    java |= _own_certificate(left)
    if left:
        raise InputError(
            f"Kafka option {', '.join(sorted(left))} cannot be passed to Spark",
            expected=", ".join([*_SAME, "sasl.mechanisms", "sasl.username", "sasl.password", "ssl.ca.location",
                                *_RENAMED, *_PEM_FILES, *_KEYSTORE, "ssl.key.password"]),
        )  # fmt: skip
    return {f"kafka.{name}": value for name, value in java.items()}


def _own_certificate(left: dict[str, str]) -> dict[str, str]:
    """The options of the client's own certificate, removed from `left`."""
    texts = {java: _text(left.pop(name)) for name, java in _PEM_FILES.items() if name in left}
    store = {java: left.pop(name) for name, java in _KEYSTORE.items() if name in left}
    kind = {"ssl.keystore.type": "PEM"} if texts else {"ssl.keystore.type": "PKCS12"} if store else {}
    password = {"ssl.key.password": left.pop("ssl.key.password")} if "ssl.key.password" in left else {}
    return {**kind, **texts, **store, **password}


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a PEM file"
        raise InputError(f"a certificate or key cannot be read: {reason}", where=path) from None


def _login(mechanism: str, name: str, password: str) -> str:
    if mechanism not in _LOGINS:
        raise InputError(f"SASL mechanism {mechanism} is not known", expected=", ".join(_LOGINS))
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in (name, password)]
    return f'{_LOGINS[mechanism]} required username="{quoted[0]}" password="{quoted[1]}";'

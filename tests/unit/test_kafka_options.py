"""Where options of a Kafka client come from, and which are refused."""

from pathlib import Path

import pytest

from freshet.core.errors import InputError
from freshet.sources.kafka.options import kafka_options
from freshet.sources.kafka.sending import Message, Pace, send_paced

pytestmark = pytest.mark.unit


def options_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "kafka.properties"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_pair_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = options_file(tmp_path, "# a note\n\nclient.id = file\nacks=file\nlinger.ms=file\nsasl.password=a=b #c\n")
    environ = {"FRESHET_KAFKA_ACKS": "environment", "FRESHET_KAFKA_CLIENT_ID": "environment", "OTHER_ACKS": "x"}
    assert kafka_options(["client.id=pair"], file, environ) == {
        "client.id": "pair", "acks": "environment", "linger.ms": "file", "sasl.password": "a=b #c",
    }  # fmt: skip


def test_variables_of_the_broker_script_are_no_options() -> None:
    own = {f"FRESHET_KAFKA_{name}": "1" for name in ("HOME", "PORT", "SECONDS", "MEMORY", "OPTIONS_FILE")}
    assert kafka_options([], None, {**own, "FRESHET_KAFKA_SASL_PASSWORD": "s"}) == {"sasl.password": "s"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(InputError, match=rf"expected mode 600; found mode {mode:o}.*chmod 600"):
        kafka_options([], options_file(tmp_path, "acks=1\n", mode), {})


@pytest.mark.parametrize("pair", ["sasl.password=s3cret", "sasl.jaas.config=s3cret", "ssl.key.pem=s3cret"])
def test_a_secret_on_the_command_line_is_refused_and_not_shown(pair: str) -> None:
    with pytest.raises(InputError, match="FRESHET_KAFKA_S") as raised:
        kafka_options([pair], None, {})
    assert "s3cret" not in raised.value.line()


@pytest.mark.parametrize("line", ["s3cret", "=s3cret", "pass word=s3cret", "acks=1\nacks=s3cret"])
def test_what_is_no_pair_is_reported_by_its_place_and_not_shown(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=f"line {line.count(chr(10)) + 1}") as raised:
        kafka_options([], options_file(tmp_path, line), {})
    assert "s3cret" not in raised.value.line()


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        kafka_options([], tmp_path / "none", {})


def test_messages_are_sent_when_they_are_due() -> None:
    for pace, due in ((Pace(rate=10), [0.0, 0.1, 0.2]), (Pace(speed_up=60), [0.0, 1.0, 61.0]), (Pace(), [0.0] * 3)):
        moments = FakeSender()
        messages = [Message(after, b"k", b"v") for after in (0.0, 60.0, 3660.0)]
        assert send_paced(moments, messages, pace, clock=lambda moments=moments: moments.now) == 3  # type: ignore[arg-type,misc]
        assert moments.sent == pytest.approx(due)
        assert moments.is_finished


class FakeSender:
    """A sender whose time passes while it waits."""

    def __init__(self) -> None:
        self.now, self.sent, self.is_finished = 0.0, list[float](), False

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def send(self, key: bytes, value: bytes) -> None:
        self.sent.append(self.now)

    def finish(self) -> None:
        self.is_finished = True

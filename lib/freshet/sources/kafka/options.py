"""Options of a Kafka client from the command line, the environment and a file, with no secrets in process lists."""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from freshet.core.errors import InputError, listed

ENVIRONMENT_PREFIX = "FRESHET_KAFKA_"

OWN_VARIABLES = ("HOME", "PORT", "SECONDS", "MEMORY", "OPTIONS_FILE")
"""Variables with that prefix that are not options: those of scripts/kafka.sh, and the name of the options file."""

_NAME = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*")
_SECRET = re.compile(r"password|secret|jaas|key\.pem|keystore\.key|oauthbearer\.config")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def kafka_options(pairs: Iterable[str], file: Path | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The options given as `key=value` pairs, in a file of such lines, and by the environment.

    FRESHET_KAFKA_SASL_PASSWORD sets sasl.password. A pair overrides the environment, the environment overrides the
    file. The names of options are checked by the client that they are for. Raises InputError for text that is not a
    pair, for a secret among the pairs, and for a file that others may read.
    """
    from_file = {} if file is None else file_options(file)
    return {**from_file, **environment_options(environ), **pair_options(pairs)}


def pair_options(pairs: Iterable[str]) -> dict[str, str]:
    """Options of the command line. Raises InputError, also for a secret, because every user can list processes."""
    given = list(pairs)
    options = _options([(f"--kafka-option {pair.partition('=')[0]}", pair) for pair in given], "--kafka-option")
    secret = sorted(key for key in options if is_secret(key))
    if secret:
        raise InputError(
            "a secret on the command line is seen by every user of the machine", where=f"--kafka-option {secret[0]}",
            do=f"Put it into --kafka-options-file, or into {variable_of(secret[0])} of the environment",
        )  # fmt: skip
    return options


def environment_options(environ: Mapping[str, str]) -> dict[str, str]:
    """Options of the environment: FRESHET_KAFKA_ and the option in capitals, with _ for its dots."""
    names = {name: name.removeprefix(ENVIRONMENT_PREFIX) for name in environ if name.startswith(ENVIRONMENT_PREFIX)}
    return {
        short.lower().replace("_", "."): environ[name]
        for name, short in sorted(names.items())
        if short and short not in OWN_VARIABLES
    }


def file_options(file: Path) -> dict[str, str]:
    """Options of a file with a `key=value` in every line; empty lines and lines that start with # are ignored.

    Raises InputError for a missing file, one that its group or others may use, or one with other content.
    """
    try:
        with file.open(encoding="utf-8") as opened:
            # The mode of the open file, not of its name: the file cannot be replaced in between.
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if mode & _OTHERS:
                raise InputError(
                    "the file may hold secrets, and others than its owner may use it", where=str(file),
                    expected="mode 600", found=f"mode {mode:o}", do=f"Run: chmod 600 {file}",
                )  # fmt: skip
            lines = opened.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        text = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"the options of Kafka cannot be read: {text}", where=str(file)) from None
    numbered = [(f"line {number}", line.strip()) for number, line in enumerate(lines, 1)]
    return _options([(place, line) for place, line in numbered if line and not line.startswith("#")], str(file))


def is_secret(key: str) -> bool:
    """Whether the value of this option must not be shown."""
    return _SECRET.search(key) is not None


def variable_of(key: str) -> str:
    """The environment variable that sets an option."""
    return ENVIRONMENT_PREFIX + key.upper().replace(".", "_")


def _options(pairs: list[tuple[str, str]], where: str) -> dict[str, str]:
    """Splits each pair at its first =. Problems name the place of a pair and not its text, which may be a secret."""
    options: dict[str, str] = {}
    problems = []
    for place, pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not _NAME.fullmatch(key):
            problems.append(f"{place} is not key=value")
        elif key in options:
            problems.append(f"{place}: {key} is given twice")
        else:
            options[key] = value
    if problems:
        raise InputError(listed(problems), where=where, expected="an option such as security.protocol=SASL_SSL")
    return options

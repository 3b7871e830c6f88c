"""Every job, rendered as the spark-submit line that would run; conf/jobs.toml is that of the registered steps."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from freshet.cli.schedule import jobs_file, scheduled_jobs, submit_line
from tests.golden.golden import check_golden

REPO = Path(__file__).parents[2]


def rendered(arguments: list[str]) -> str:
    script, name, *rest = arguments
    done = subprocess.run(
        [str(REPO / script), name, "--print", *rest], capture_output=True, text=True, check=True, cwd=REPO
    )
    return done.stdout.strip()


def test_every_scheduled_job_renders_the_known_spark_submit_line() -> None:
    lines = [rendered(submit_line(name, job)) for name, job in scheduled_jobs().items()]
    check_golden("submit_lines.txt", "\n".join(lines) + "\n")


def test_jobs_file_is_that_of_the_registered_steps() -> None:
    text = (REPO / "conf/jobs.toml").read_text(encoding="utf-8")
    assert text == jobs_file(), "run: freshet jobs --toml > conf/jobs.toml"
    assert tomllib.loads(text) == scheduled_jobs()


def test_every_dependency_is_a_job_and_none_waits_for_itself() -> None:
    jobs = scheduled_jobs()
    order: list[str] = []
    waiting = dict(jobs)
    while waiting:
        ready = [name for name, job in waiting.items() if set(job["after"]) <= set(order)]
        assert ready, f"these wait for each other or for an unknown job: {sorted(waiting)}"
        order += ready
        for name in ready:
            del waiting[name]


@pytest.mark.parametrize("profile", ["local", "standalone", "yarn", "kubernetes"])
def test_every_spark_setting_of_a_profile_has_its_reason_above_it(profile: str) -> None:
    lines = (REPO / "conf/spark" / f"{profile}.conf").read_text().splitlines()
    settings = [line for line in lines if line and not line.startswith("#")]
    assert settings
    assert all(re.match(r"spark\.[\w.]+\s+\S", line) for line in settings)
    assert sum(line.startswith("#") for line in lines) >= len(settings) / 3


def test_environment_files_only_override_known_settings() -> None:
    from freshet.runs.settings import load_settings

    base = tomllib.loads((REPO / "conf/base.toml").read_text())
    for environment in ("dev", "test", "prod"):
        values = tomllib.loads((REPO / "conf" / f"{environment}.toml").read_text())
        assert set(values) <= set(base)
        load_settings(environment)


def test_unknown_job_is_reported_with_the_known_ones() -> None:
    done = subprocess.run([str(REPO / "scripts/submit.sh"), "nightly"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such job 'nightly'" in done.stderr
    assert "recommend" in done.stderr

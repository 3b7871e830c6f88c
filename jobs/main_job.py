"""The main job: all its steps in one application."""

from freshet.cli.submitted import job_command
from freshet.pipeline.main_job import MAIN_STEPS

main = job_command(*[step.name for step in MAIN_STEPS])

if __name__ == "__main__":
    main()

"""Interactions and features as of the cut."""

from freshet.cli.submitted import job_command

main = job_command("build")

if __name__ == "__main__":
    main()

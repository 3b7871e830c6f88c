"""Served lists and baselines on the test days."""

from freshet.cli.submitted import job_command

main = job_command("evaluate")

if __name__ == "__main__":
    main()

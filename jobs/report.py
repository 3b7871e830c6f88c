"""The HTML report."""

from freshet.cli.submitted import job_command

main = job_command("report")

if __name__ == "__main__":
    main()

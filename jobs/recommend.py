"""Lists, similar and popular items, probabilities and segments of the champions."""

from freshet.cli.submitted import job_command

main = job_command("recommend")

if __name__ == "__main__":
    main()

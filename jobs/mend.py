"""Refused records of a stream taken in again, by a mended mapping."""

from freshet.cli.submitted import job_command

main = job_command("mend")

if __name__ == "__main__":
    main()

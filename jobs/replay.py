"""The live days as a stream that keeps lists fresh."""

from freshet.cli.submitted import job_command

main = job_command("replay")

if __name__ == "__main__":
    main()

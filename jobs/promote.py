"""The gate: challengers become champions or are refused with reasons."""

from freshet.cli.submitted import job_command

main = job_command("promote")

if __name__ == "__main__":
    main()

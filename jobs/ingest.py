"""Raw records to events, quarantine and items_history."""

from freshet.cli.submitted import job_command

main = job_command("ingest")

if __name__ == "__main__":
    main()

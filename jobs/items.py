"""States of items from a catalogue file: prices, stock, what can be had."""

from freshet.cli.submitted import job_command

main = job_command("items")

if __name__ == "__main__":
    main()

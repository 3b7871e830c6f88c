"""Events of a topic or a folder to events and quarantine, until it is stopped."""

from freshet.cli.submitted import service_command

main = service_command("events", "Take events in, until SIGTERM.")

if __name__ == "__main__":
    main()

"""Lists kept fresh, straight from a topic or from table events, until it is stopped."""

from freshet.cli.submitted import service_command

main = service_command("lists", "Keep lists fresh, until SIGTERM.")

if __name__ == "__main__":
    main()

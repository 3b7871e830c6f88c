"""Events of a topic or a folder to events and quarantine, until it is stopped."""

from freshet.cli.submitted import main_of

main = main_of(__file__)

if __name__ == "__main__":
    main()

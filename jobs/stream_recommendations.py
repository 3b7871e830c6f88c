"""Lists kept fresh, straight from a topic or from table events, until it is stopped."""

from freshet.cli.submitted import main_of

main = main_of(__file__)

if __name__ == "__main__":
    main()

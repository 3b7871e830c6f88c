"""Lists, similar and popular items, probabilities and segments of the champions."""

from freshet.cli.submitted import main_of

main = main_of(__file__)

if __name__ == "__main__":
    main()

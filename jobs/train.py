"""Recommender, purchase probability and segments, registered as challengers."""

from freshet.cli.submitted import main_of

main = main_of(__file__)

if __name__ == "__main__":
    main()

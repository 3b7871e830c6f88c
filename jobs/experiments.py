"""Experiments of a file: measured, and decided."""

from freshet.cli.submitted import main_of

main = main_of(__file__)

if __name__ == "__main__":
    main()

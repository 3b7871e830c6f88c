"""States of items from a catalogue file: prices, stock, what can be had."""

from freshet.cli.submitted import main_of

main = main_of(__file__)

if __name__ == "__main__":
    main()

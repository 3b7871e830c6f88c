"""The live days as a stream that keeps lists fresh."""

from freshet.cli.submitted import main_of

main = main_of(__file__)

if __name__ == "__main__":
    main()

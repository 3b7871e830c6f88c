"""Any job by its name, which is the first argument: for steps that have no script here."""

from freshet.cli.submitted import main_of_any as main

if __name__ == "__main__":
    main()

"""Recommender, purchase probability and segments, registered as challengers."""

from freshet.cli.submitted import job_command

main = job_command("train-recommender", "train-propensity", "train-segments")

if __name__ == "__main__":
    main()

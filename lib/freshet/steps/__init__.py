"""The steps of the main job: read tables, call the pure rooms, write tables. Shared by the command line and jobs/."""

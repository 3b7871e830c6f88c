"""The streaming service: it ingests events and keeps lists fresh.

The way from its start to the data file of a list, module by module. Each module imports later ones only:

1. `freshet.service.serving`: takes the leases, starts the queries, watches them, stops them.
2. `freshet.service.list_stream`: builds the query of the lists: its source, model, state and chores.
3. `freshet.service.lists.handover`: the history that the tables hold, then the stream of the events after it.
4. `freshet.service.lifecycle.running`: starts the query; Spark calls its function for each micro-batch.
5. `freshet.service.lists.micro_batch`: that function: histories, lists, figures, each written once.
6. `freshet.service.lists.history_updates`: adds the events to histories and finds the shoppers whose lists are due.
7. `freshet.service.lists.list_making`: the rows of `recommendation_updates` for these shoppers.
8. `freshet.service.lists.history_store`: reads and writes the histories in SQLite.
9. `freshet.ranking.lists.shopper_lists`: scores the histories and makes the lists, as in the batch.
10. `freshet.tables.small_writes`: appends the rows without a Spark job.
11. `freshet.tables.writers.blind_append`: checks the rows, has the data file written and commits it to the log.
12. `freshet.tables.format.data_files`: writes the Parquet file.

Events reach the same function of a micro-batch from `topic_feed` or table `events`. The intake is built likewise, by
`intake_streams`, from `topic_feed`, `table_feed` or a folder (`feeds`), and ends in the same last three modules.
"""

"""The format of tables on disk: columns, data files, Arrow rows by contract, kept rows."""

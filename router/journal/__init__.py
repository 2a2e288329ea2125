"""Decision and outcome records: their models, writing and reading. Does not know where they come from."""

"""Reading a feed of callers: from a file to sorted runs of pseudonyms on disk, ready to be loaded.

    rows      what one row means: the exact, slow reading, and the texts of what is wrong with one
    header    which columns a file has
    proven    which spellings of numbers provably mean the same to `parse_caller` as to a pattern
    source    files: CSV, compressed or not, and Parquet, cut into blocks
    block     a block to records: many rows at once where that provably gives the same, the others by `rows`
    runs      sorted records on disk, and all persons out of them, each once
    pool      blocks to processes
    manifest  how far a spool is, so that it can be gone on with
    spool     all of it together
    due       whose band changes by a birthday

A date of birth never leaves the process that reads it: it becomes a band in memory, and a number a pseudonym. Knows
nothing of Redis.
"""

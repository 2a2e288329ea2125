"""Loading what was read of a feed into Redis: all of it as a new generation, or a delta onto the one in force.

    job          a whole import or dry run: reading, then loading, under the locks
    nightly      a new feed, or who had a birthday
    full         a new generation, part by part, then the switch, then the old one's removal
    delta        rows that were added, changed or removed since
    differences  what a feed would change of what is there
    refusal      what changes too much
    lock         one import at a time, for all machines and for one
    checkpoint   how far it has come, for when it is killed
    in_thread    reading a file while the lock is prolonged
    persons      what it is handed of a feed: pseudonyms and bands, a part for each hash tag
    sizing       how many buckets
    packing      persons as commands
    writing      those to their server, so many unanswered at most
    pacing       when to go on, as lookups come first
    settled      limits and replicas of the servers
    verifying    whether all is there that was loaded
    removal      buckets of generations that are not in force
    swap         the change of a key that nobody else has changed
    lines        connections, and doing it again when one is lost

Files, columns and numbers are `feed`'s. Everything here may be killed anywhere and run again.
"""

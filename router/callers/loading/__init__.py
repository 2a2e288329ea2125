"""Loading what was read of a feed into Redis: all of it as a new generation, or a delta onto the one in force.

    full        a new generation, part by part, then the switch, then the old one's removal
    delta       rows that were added, changed or removed since
    differences what a feed would change of what is there

It is handed persons as pseudonyms, see `Part`; files, columns and numbers are `feed`'s. Nothing here is in a call's
way: lookups go on meanwhile, and the loading waits where they would have to.
"""

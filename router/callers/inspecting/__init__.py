"""Looking at the Redis servers of the registry: what each is set to, and what lies there.

    findings   one thing that was looked at: how it is, and what to do
    teller     asks one server what it says of itself
    way        how a server is reached: whether others can read along
    servers    findings about a server: its version, rights, limits, memory, persistence, replicas
    topology   findings about servers that belong together: a cluster, Sentinels
    limits     whether buckets stay small: the one of these that the running router looks at too
    contents   findings about what lies there: the generation, leftovers, old keys

It changes nothing, and is nobody's way to look up a caller.
"""

"""The wallboard: how it goes now, on a page for supervisors. It reads only.

`board` gathers what there is to see, `server` sends it to browsers, `access` says to which, `page/` is what they show.
What the figures mean is `docs/figures.md`'s, how they are counted `router.journal.tally`'s.
"""

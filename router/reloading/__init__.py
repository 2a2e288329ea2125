"""The rules in force and those that were: taking new ones while calls go on, and going back.

keeper.py     holds the rules in force, watches the files, takes new rules or refuses them
history.py    the last versions that were in force, on disk
restoring.py  writes a kept version back to where the rules lie

It knows files and rule books. It must not know of Asterisk, of the registry, or of single calls.
"""

"""The elderly-aware call router: a daemon beside Asterisk that puts older callers through to a person.

Data flows one way. A package imports only from those above it in this list, which a test keeps so:

    errors.py   the one exception tree
    ami/        bytes, messages and links of the Asterisk Manager Interface
    callers/    phone numbers, age bands, the registry in Redis
    rules/      the YAML rules and their evaluation
    speech/     prompts, voices, stretching
    journal/    decision and outcome records
    calls/      one call from request to outcome
    control/    what operators ask of the running router, over its Unix socket
    reloading/  the rules in force and those before them, taken from disk while calls go on
    web/        what monitoring, and an Asterisk elsewhere, fetch over HTTP; reads only
    settings_callers.py what its section of the registry says
    settings.py the daemon's own settings file
    node.py     one Asterisk: its link, its desk, its heartbeat
    supervision.py what looks on: metrics, health, the wallboard, what is wrong
    daemon.py   wires it all
    cli/        the command line; the only place that prints or exits
"""

__version__ = "0.1.0"

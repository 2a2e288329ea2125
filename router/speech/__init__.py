"""What callers hear, at each speech profile's speed: synthesised from text, or stretched with the pitch kept.

    catalogue…     what is said (template, values, languages/, sentence), where it is said to be, and whether it is right
    engines/       who speaks
    speaking       sentences at a speed that is measured
    during_calls   what is known only in the call, while the caller waits (spoken, remembered)
    build          everything else, beforehand: installed, recordings → plan → making, manifest
    sound          samples: reading, stretching; loudness, formats; programs runs what makes them
    settings…      the section `speech:`
    profile        rate, pauses, gain, and the channel language that stands for them

Knows nothing of the rules; the command line and the daemon hand it the profiles.
"""

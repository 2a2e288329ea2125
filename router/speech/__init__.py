"""What callers hear, at each speech profile's speed: synthesised from text, or stretched with the pitch kept.

    catalogue…     what is said: template, values, languages/, sentence, free_text; checking finds what is missing
    engines/       who speaks
    speaking       sentences at a speed that is measured
    during_calls   what is known only in the call, while the caller waits (spoken, remembered)
    build          everything else, beforehand: installed, recordings → plan → making, manifest
    sound          samples: reading, stretching; loudness, formats; programs runs what makes them
    settings…      the section `speech:`
    profile        rate, pauses, gain, and the channel language that stands for them

Who hears which profile is not known here: the command line and the daemon hand the profiles over.
"""

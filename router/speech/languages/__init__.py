"""How numbers, amounts, dates, times and waiting times are said, language by language.

`any_language` says them as Unicode's CLDR has them (through Babel), `english` and `chinese` as people do on the
telephone. Knows nothing of prompts: `values` hands it what it has read and checked.
"""

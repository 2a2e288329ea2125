"""`python -m lab PART`: what the Makefile calls."""

from __future__ import annotations

import asyncio
import sys

from lab.processes import LabError


def main() -> int:
    """Run the part that the first argument names."""
    from lab import demo, generated, live, prompts, screens, speech_report, walk  # noqa: PLC0415 - a broken part must not keep the others from running

    parts = {
        "demo": demo.main,
        "run": live.main,
        "prompts": prompts.main,
        "schema": generated.main,
        "walk": walk.main,
        "screenshots": screens.main,
        "speech-report": speech_report.main,
    }
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word not in parts:
        print(f"usage: python -m lab {'|'.join(parts)}", file=sys.stderr)
        return 2
    try:
        return asyncio.run(parts[word]())
    except LabError as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

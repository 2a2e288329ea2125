from __future__ import annotations

import pytest
from redis.exceptions import ResponseError

from router.callers.servers.failure import LookupFailure, lookup_failed


@pytest.mark.parametrize(
    "said",
    [
        # As redis-py has it for one server, and for a cluster.
        "Command # 4 (DEL elder:caller:+8613900000001) of pipeline caused error: ('no permissions (here)',)",
        'Command # 1 (SET elder:{13}:choice:884aaedc:4d80 a) b) of pipeline caused error: ("no permissions (here)",)',
        "Command # 12 (SET elder:{13}:choice:884aaedc:4d80) of pipeline caused error: no permissions (here)",
        "no permissions (here)",
    ],
)
def test_a_refusal_does_not_tell_whose_it_was(said: str) -> None:
    failed = lookup_failed(ResponseError(said))
    assert failed.failure is LookupFailure.REFUSED
    assert failed.detail == "no permissions (here)"

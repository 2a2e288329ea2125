from __future__ import annotations

from bench.tail_lag import Followed, TailMeasured, tail_lag


def test_the_section_tells_lag_records_missing_and_what_it_costs() -> None:
    plain = Followed("tail -F", [1.0, 2.0, 3.0, 4.0], 4, 4, 2, 0.01, 2**20)
    ours = Followed("elder-router tail --json", [10.0, 20.0, 30.0, 50.0], 4, 4, 2, 0.05, 2**27)
    screen = Followed("elder-router tail, on a terminal", [], 3, 4, 2, 0.1, 2**27)
    text = tail_lag(TailMeasured([plain, ours, screen], 1000, 2.0))
    assert "| elder-router tail --json | 30.0 | 50.0 | 50.0 | 50 | 4 | 0 | 5.0% | 128 |" in text
    assert "| elder-router tail, on a terminal | – | – | – | – | 4 | 1 | 10.0% | 128 |" in text
    assert "takes 5.00 times the processor time" in text
    assert "500 records a second (1,000 in 2.0 s" in text

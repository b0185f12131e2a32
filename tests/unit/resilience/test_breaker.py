from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opsplane.resilience import Breaker, BreakerPolicy, Condition

POLICY = BreakerPolicy(failures=5, rate=0.5, calls=20, window=10.0, probes=5, wait="1s..8s")


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(5):
        breaker.fail(at, "it is away")
    return breaker


def test_five_failures_in_a_row_open_it_and_a_success_between_forgives() -> None:
    breaker = Breaker(POLICY)
    assert [breaker.fail(1.0) for _ in range(4)] == [False] * 4
    breaker.succeed()
    assert [breaker.fail(1.0) for _ in range(5)] == [False] * 4 + [True]
    assert breaker.phase(1.0) == "open"


def test_half_of_twenty_calls_within_the_window_open_it() -> None:
    breaker = Breaker(POLICY)
    outcomes = []
    for _ in range(10):
        outcomes.append(breaker.fail(1.0))
        breaker.succeed()
    assert outcomes == [False] * 10  # the twentieth call was a success
    assert breaker.fail(2.0)


def test_failures_spread_over_more_than_a_window_do_not() -> None:
    breaker = Breaker(POLICY)
    for number in range(200):
        assert not breaker.fail(number * 5.1)
        breaker.succeed()


def test_successes_of_long_ago_do_not_hide_failures() -> None:
    breaker = Breaker(POLICY)
    for _ in range(100_000):
        breaker.succeed()
    for _ in range(10):
        breaker.fail(1.0)
        breaker.succeed()
    assert breaker.phase(1.0) == "closed" or breaker.condition.openings == 1
    assert breaker.fail(1.0)


def test_it_is_half_open_after_its_wait_and_closes_after_five_probes() -> None:
    breaker = opened(100.0)
    assert 100.5 <= breaker.condition.until <= 101.0
    assert breaker.phase(breaker.condition.until) == "half_open"
    assert [breaker.probed(102.0) for _ in range(5)] == [False] * 4 + [True]
    assert breaker.phase(102.0) == "closed"
    assert breaker.condition == Condition(since=102.0)


def test_each_opening_in_a_row_waits_longer_and_the_first_time_is_remembered() -> None:
    breaker, waits = opened(100.0), []
    for _ in range(6):
        now = breaker.condition.until
        breaker.probed(now)
        breaker.open(now, "still away")
        waits.append(breaker.condition.until - now)
        assert breaker.condition.probes == 0
    assert all(low <= wait <= 2 * low for low, wait in zip([1, 2, 4, 4, 4, 4], waits, strict=True))
    assert (breaker.condition.since, breaker.condition.openings) == (100.0, 7)


def test_what_others_found_out_is_taken_over_and_the_count_begins_anew() -> None:
    breaker = Breaker(POLICY)
    for _ in range(4):
        breaker.fail(1.0)
    breaker.adopt(breaker.condition)
    assert breaker.row == 4, "the same condition changes nothing"
    breaker.adopt(Condition(True, 1.0, 2.0, 1, 3))
    assert breaker.phase(1.5) == "open"
    assert [breaker.probed(3.0) for _ in range(2)] == [False, True]
    assert not breaker.fail(3.0)


@given(st.lists(st.sampled_from(["succeed", "fail", "tick"]), max_size=200))
def test_it_never_opens_while_fewer_than_five_failures_came_in_a_row_and_less_than_half_failed(
    history: list[str],
) -> None:
    """Against a model that keeps everything."""
    breaker, now, row, calls = Breaker(POLICY), 0.0, 0, [True] * 0
    start = float("-inf")
    for what in history:
        if breaker.phase(now) != "closed":
            break
        if what == "tick":
            now += 4.0
        elif what == "succeed":
            breaker.succeed()
            row, calls = 0, [*calls, True]
        else:
            if now - start > POLICY.window:
                start, calls = now, []
            row, calls = row + 1, [*calls, False]
            expected = row >= 5 or (len(calls) >= 20 and calls.count(False) * 2 >= len(calls))
            assert breaker.fail(now) == expected

"""What is measured, and what a history says of workflow tasks and of waits."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from benchmarks.catalogue import BY_NAME, TEMPORAL_PEERS
from benchmarks.history import LOCAL_ACTIVITY, task_seconds
from benchmarks.job import PAGE_BYTES, REPLY_BYTES, Job, page, reply_text
from benchmarks.plan import FIRST, jobs, once, rounds
from benchmarks.waits import waits


def test_sizes_are_as_promised():
    """A tool result has 1 KB and a message of the model 200 bytes, at every step."""
    assert {len(page(n).encode()) for n in range(20)} == {PAGE_BYTES}
    assert {len(reply_text(n).encode()) for n in range(20)} == {REPLY_BYTES}


def test_a_round_has_every_length_and_more():
    """Besides single runs there are many at once, of the shortest job, and a slow model."""
    cases = rounds((4, 50, 200))

    assert [case.job.turns for case in cases] == [4, 50, 4, 50, 200]
    assert [case.at_once for case in cases] == [1, 1, 20, 1, 1]
    assert [case.job.latency for case in cases] == [0, 0, 0, 0.05, 0]


@pytest.mark.parametrize("turns", [(4,), (50,), (200,), (4, 50), (1000,)])
def test_every_choice_of_lengths_is_a_round(turns: tuple[int, ...]):
    """Whatever TURNS asks for is measured, and each case ends some day."""
    cases = rounds(turns)

    assert {case.job.turns for case in cases} == set(turns)
    assert all(0 < case.within <= 1200 for case in cases)


def test_long_runs_are_done_once_and_in_fast():
    """Thousands of turns are measured in the quickest mode only."""
    assert [case.job.turns for case in once(BY_NAME["mainspring-fast"])] == [10, 150, 1000, 5000]
    assert [once(BY_NAME[name]) for name in TEMPORAL_PEERS] == [()] * len(TEMPORAL_PEERS)


def test_jobs_are_named_once():
    """A stack is told each of its jobs, and the first run's, once."""
    assert jobs(rounds((4, 50))) == (FIRST, Job(50), Job(50, 0.05))


def event(number: int, kind: str, second: float, **attributes: object) -> HistoryEvent:
    """An event of a history."""
    made = HistoryEvent(event_id=number, event_type=EventType.Value(f"EVENT_TYPE_{kind}"))
    made.event_time.FromMilliseconds(round(second * 1000))
    for name, value in attributes.items():
        target = made.marker_recorded_event_attributes if kind == "MARKER_RECORDED" else None
        setattr(target or made.workflow_task_completed_event_attributes, name, value)
    return made


def task(number: int, start: float, end: float) -> list[HistoryEvent]:
    """The three events of a workflow task."""
    return [
        event(number, "WORKFLOW_TASK_SCHEDULED", start),
        event(number + 1, "WORKFLOW_TASK_STARTED", start),
        event(number + 2, "WORKFLOW_TASK_COMPLETED", end, started_event_id=number + 1),
    ]


def test_tasks_are_timed_from_start_to_end():
    """A task that decides something counts with its time."""
    events = [*task(2, 0.0, 0.25), event(5, "ACTIVITY_TASK_SCHEDULED", 0.25), *task(6, 1.0, 1.5)]

    assert task_seconds(events) == pytest.approx([0.25, 0.5])


def test_tasks_that_wait_for_local_activities_do_not_count():
    """A task is as long as the call that runs in it, or is extended for it: that is no replaying or deciding."""
    marker = event(8, "MARKER_RECORDED", 3.5, marker_name=LOCAL_ACTIVITY, workflow_task_completed_event_id=7)
    events = [*task(2, 0.0, 1.6), *task(5, 1.6, 3.5), marker, *task(9, 4.0, 4.1)]

    assert task_seconds(events) == pytest.approx([0.1])


def test_waits_are_from_scheduled_to_started():
    """A workflow task and an activity each wait from their own scheduling to their own start."""
    started = event(3, "WORKFLOW_TASK_STARTED", 0.5)
    started.workflow_task_started_event_attributes.scheduled_event_id = 2
    taken = event(6, "ACTIVITY_TASK_STARTED", 2.25)
    taken.activity_task_started_event_attributes.scheduled_event_id = 5
    scheduled = event(2, "WORKFLOW_TASK_SCHEDULED", 0.25), event(5, "ACTIVITY_TASK_SCHEDULED", 2.0)

    assert waits([scheduled[0], started, scheduled[1], taken]) == ([0.25], [0.25])

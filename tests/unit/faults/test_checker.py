"""The checker of the fault suite finds each kind of fault, and none where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.faults.checker import KINDS, Verdict, check
from tests.support.faults.history import (
    Call,
    Closed,
    Emitted,
    Frame,
    HistoryWriter,
    Note,
    Opened,
    Record,
    Stored,
    read_history,
)


def event(name: str, seq: int, at: float, user_id: str = "ann") -> list[Record]:
    """An event that was emitted and answered OK within a tenth of a second."""
    return [Emitted(at, name, user_id), Call(at, at + 0.1, name, "ok", "OK", seq)]


def frame(name: str, seq: int, at: float, connection: int = 1, user_id: str = "ann") -> Frame:
    return Frame(at, connection, user_id, name, seq)


def opened(at: float = 0.0, **fields: object) -> Opened:
    usual: dict[str, object] = {
        "client": "ann.0",
        "connection": 1,
        "user_id": "ann",
        "epoch": "E",
        "seq": None,
    }
    return Opened(at=at, **{**usual, **fields})  # type: ignore[arg-type]


def resumed(connection: int, after: int, at: float) -> Opened:
    return opened(at, connection=connection, seq=after, asked=("E", after), recovered=True)


THREE: list[Record] = [*event("a", 1, 1.0), *event("b", 2, 2.0), *event("c", 3, 3.0)]
STORED = Stored("ann", [(1, "a"), (2, "b"), (3, "c")])
ALL_CAME: list[Record] = [frame("a", 1, 1.2), frame("b", 2, 2.2), frame("c", 3, 3.2)]


def faults_of(*records: Record) -> dict[str, int]:
    """How many of each kind that there is."""
    return {kind: len(cases) for kind, cases in check(records).faults.items() if cases}


def test_a_run_in_which_everything_came_once_and_in_order_is_clean() -> None:
    verdict = check([opened(), *THREE, *ALL_CAME, STORED, Note(2.5, "kill -9")])
    assert verdict.is_clean
    assert (verdict.emitted, verdict.ok, verdict.unknown, verdict.frames) == (3, 3, 0, 3)
    assert verdict.duplicates == {}


def test_an_event_answered_ok_that_never_came_is_lost() -> None:
    assert faults_of(opened(), *THREE, *ALL_CAME[:2], STORED) == {"lost": 1}


def test_an_event_that_came_before_the_client_began_is_not_owed_to_it() -> None:
    assert faults_of(opened(2.5), *THREE, ALL_CAME[2], STORED) == {}


def test_an_event_answered_ok_that_is_not_stored_is_lost() -> None:
    assert faults_of(opened(), *THREE, *ALL_CAME, Stored("ann", [(1, "a"), (2, "b")])) == {"lost": 1}


def test_an_event_whose_outcome_is_unknown_may_come_or_not() -> None:
    perhaps: list[Record] = [Emitted(4.0, "d", "ann"), Call(4.0, 5.0, "d", "unknown", "UNAVAILABLE")]
    stored = Stored("ann", [*STORED.events, (4, "d")])
    assert faults_of(opened(), *THREE, *perhaps, *ALL_CAME, STORED) == {}
    assert faults_of(opened(), *THREE, *perhaps, *ALL_CAME, frame("d", 4, 5.0), stored) == {}


def test_a_client_that_left_is_owed_nothing_more() -> None:
    left = Closed(2.5, "ann.0", 1, 4403, is_last=True)
    assert faults_of(opened(), *THREE, *ALL_CAME[:2], left, STORED) == {}


def test_an_event_that_nobody_emitted_is_a_ghost() -> None:
    assert faults_of(opened(), *THREE, *ALL_CAME, frame("x", 4, 4.0), STORED) == {"ghosts": 1}


def test_an_event_that_was_refused_for_certain_is_a_ghost_and_one_of_unknown_outcome_is_not() -> None:
    refused: list[Record] = [Emitted(4.0, "d", "ann"), Call(4.0, 4.1, "d", "refused", "INVALID_ARGUMENT")]
    came = frame("d", 4, 4.2)
    stored = Stored("ann", [*STORED.events, (4, "d")])
    assert faults_of(opened(), *THREE, *refused, *ALL_CAME, came) == {"ghosts": 1}
    assert faults_of(opened(), *THREE, *refused, *ALL_CAME, STORED) == {}
    assert faults_of(*refused, stored) == {"ghosts": 4}
    perhaps = Call(3.9, 4.0, "d", "unknown", "UNAVAILABLE")
    assert faults_of(opened(), *THREE, *refused, perhaps, *ALL_CAME, came) == {}


def test_another_users_event_is_a_leak() -> None:
    ben = event("z", 1, 1.0, "ben")
    assert faults_of(opened(), *THREE, *ben, *ALL_CAME, frame("z", 4, 4.0, user_id="ben")) == {"leaks": 1}
    assert faults_of(opened(), *THREE, *ben, *ALL_CAME, frame("z", 4, 4.0, user_id="ann")) == {"leaks": 1}


def test_an_event_stored_for_another_user_is_a_leak() -> None:
    assert faults_of(*event("z", 1, 1.0, "ben"), Stored("ann", [(1, "z")])) == {"leaks": 1}


def test_a_seq_that_falls_is_an_inversion() -> None:
    came: list[Record] = [ALL_CAME[0], frame("c", 3, 2.1), frame("b", 2, 2.2)]
    assert faults_of(opened(), *THREE, *came, STORED) == {"holes": 1, "inversions": 1}


def test_an_emit_that_began_after_anothers_ok_and_got_a_lower_seq_is_an_inversion() -> None:
    assert faults_of(*event("a", 2, 1.0), *event("b", 1, 2.0)) == {"inversions": 1}
    side_by_side = [*event("a", 2, 1.0), *event("b", 1, 1.05)]
    assert faults_of(*side_by_side) == {}


def test_a_streamed_event_with_a_lower_seq_than_one_streamed_before_it_is_an_inversion() -> None:
    def streamed(name: str, seq: int, at: float) -> list[Record]:
        return [Emitted(at, name, "ann", is_streamed=True), Call(at, 3.0, name, "ok", "OK", seq)]

    assert faults_of(*streamed("a", 2, 1.0), *streamed("b", 1, 2.0)) == {"inversions": 1}
    assert faults_of(*streamed("a", 1, 1.0), *streamed("b", 2, 2.0)) == {}
    beside: list[Record] = [Emitted(1.5, "c", "ann"), Call(1.5, 3.0, "c", "ok", "OK", 1)]
    assert faults_of(*streamed("a", 2, 1.0), *beside, *streamed("b", 3, 2.0)) == {}


def test_a_seq_left_out_on_a_connection_is_a_hole() -> None:
    assert faults_of(opened(), *THREE, ALL_CAME[0], ALL_CAME[2], STORED) == {"holes": 1, "lost": 1}


def test_a_seq_left_out_right_after_a_resume_is_a_hole() -> None:
    again: list[Record] = [resumed(2, 1, 2.5), frame("c", 3, 3.2, connection=2)]
    assert faults_of(opened(), *THREE, ALL_CAME[0], *again, STORED) == {"holes": 1, "lost": 1}


def test_a_resume_that_starts_elsewhere_than_asked_is_a_hole() -> None:
    elsewhere = opened(2.5, connection=2, seq=2, asked=("E", 1), recovered=True)
    came = [frame("c", 3, 3.2, connection=2)]
    assert faults_of(opened(), *THREE, ALL_CAME[0], elsewhere, *came, STORED) == {"holes": 1, "lost": 1}


def test_a_gap_in_the_log_is_a_hole() -> None:
    assert faults_of(*event("a", 1, 1.0), *event("c", 3, 3.0), Stored("ann", [(1, "a"), (3, "c")])) == {
        "holes": 1
    }


def collapsing(name: str, seq: int, at: float) -> list[Record]:
    return [Emitted(at, name, "ann", "rider_1"), Call(at, at + 0.1, name, "ok", "OK", seq)]


def test_an_event_that_was_superseded_leaves_no_hole() -> None:
    history = [*event("a", 1, 1.0), *collapsing("b", 2, 2.0), *collapsing("c", 3, 3.0)]
    assert faults_of(opened(), *history, ALL_CAME[0], ALL_CAME[2], STORED) == {}


def test_the_newest_of_a_collapse_key_that_never_came_is_lost() -> None:
    history = [*event("a", 1, 1.0), *collapsing("b", 2, 2.0), *collapsing("c", 3, 3.0)]
    assert faults_of(opened(), *history, *ALL_CAME[:2], STORED) == {"lost": 1}


def test_beside_events_that_may_be_left_out_any_other_leaves_a_hole() -> None:
    history = [*event("a", 1, 1.0), *collapsing("b", 2, 2.0), *event("c", 3, 3.0), *event("d", 4, 4.0)]
    came: list[Record] = [ALL_CAME[0], frame("d", 4, 4.2)]
    stored = Stored("ann", [*STORED.events, (4, "d")])
    assert faults_of(opened(), *history, *came, stored) == {"holes": 1, "lost": 2}


def test_an_event_twice_on_one_connection_is_a_repeat() -> None:
    assert faults_of(opened(), *THREE, *ALL_CAME, frame("c", 3, 3.5), STORED) == {"repeats": 1}


def test_an_event_again_on_the_next_connection_is_a_duplicate_and_counted() -> None:
    again: list[Record] = [resumed(2, 2, 3.5), frame("c", 3, 3.6, connection=2)]
    verdict = check([opened(), *THREE, *ALL_CAME, *again, STORED])
    assert verdict.is_clean
    assert verdict.duplicates == {2: 1}


def test_one_event_with_two_seqs_is_misnumbered() -> None:
    second_answer = Call(3.5, 3.6, "c", "ok", "OK", 4, duplicate=True)
    assert faults_of(*THREE, second_answer)["misnumbered"] == 1
    came = [*ALL_CAME[:2], frame("c", 4, 3.2)]
    assert faults_of(opened(), *THREE, *came, STORED)["misnumbered"] == 1


def test_an_answer_other_than_what_is_stored_is_misnumbered() -> None:
    assert faults_of(*event("a", 2, 1.0), Stored("ann", [(1, "a")])) == {"misnumbered": 1}


def test_a_client_that_is_told_that_it_cannot_go_on_is_unrecovered() -> None:
    told = opened(3.5, connection=2, seq=3, asked=("E", 3), recovered=False)
    assert faults_of(opened(), *THREE, *ALL_CAME, told, STORED) == {"unrecovered": 1}


def remembered(connection: int, acked: int, seq: int, *, recovered: bool = True) -> Opened:
    return opened(3.5, connection=connection, seq=seq, recovered=recovered, acked=acked)


def test_a_device_may_go_on_before_what_it_acknowledged_and_never_behind_it() -> None:
    rest = [frame("b", 2, 3.6, connection=2), frame("c", 3, 3.6, connection=2)]
    before = check([opened(), *THREE, *ALL_CAME[:2], remembered(2, 2, 1), *rest, STORED])
    assert before.is_clean
    assert before.duplicates == {2: 1}
    behind: list[Record] = [remembered(2, 1, 2), frame("c", 3, 3.6, connection=2)]
    assert faults_of(opened(), *THREE, *ALL_CAME[:1], *behind, STORED) == {"holes": 1, "lost": 1}


def test_a_device_that_is_not_remembered_is_unrecovered_if_it_acknowledged_anything() -> None:
    told = remembered(2, 3, 3, recovered=False)
    assert faults_of(opened(), *THREE, *ALL_CAME, told, STORED) == {"unrecovered": 1}
    new = opened(seq=0, recovered=False, acked=0)
    assert faults_of(new, *THREE, *ALL_CAME, STORED) == {}


def test_the_longest_silence_is_that_of_a_client_for_which_something_was_under_way() -> None:
    # Nothing was emitted from 0.1 to 9.9: no silence. The event of 10 came at 12.5, with the one of 12.
    history = [*event("a", 1, 0.0), *event("b", 2, 10.0), *event("c", 3, 12.0)]
    came = [frame("a", 1, 0.1), frame("b", 2, 12.5), frame("c", 3, 12.5)]
    verdict = check([opened(-1.0), *history, *came])
    assert verdict.longest_silence.seconds == pytest.approx(2.5)
    assert verdict.longest_silence.until == 12.5


def test_latency_is_from_the_first_emit_to_the_first_arrival() -> None:
    verdict = check([opened(), *THREE, *ALL_CAME[:2], frame("c", 3, 5.0), STORED])
    assert verdict.latency(0.5) == pytest.approx(0.2)
    assert verdict.latency(1.0) == pytest.approx(2.0)
    assert verdict.latency(1.0, until=2.5) == pytest.approx(0.2)
    assert verdict.latency(0.5, since=9.0) == 0.0


def test_the_summary_names_every_kind_of_fault() -> None:
    line = check([opened(), *THREE, *ALL_CAME[:2], STORED]).summary()
    assert all(kind in line for kind in KINDS)
    assert "lost 1" in line
    assert Verdict().is_clean


def test_a_history_is_read_as_it_was_written_but_for_a_torn_last_line(tmp_path: Path) -> None:
    records = [opened(), *THREE, *ALL_CAME, Closed(4.0, "ann.0", 1, 1012), STORED]
    path = tmp_path / "history.jsonl"
    with HistoryWriter(path) as history:
        for record in records:
            history.write(record)
    with path.open("ab") as file:
        file.write(b'{"is":"frame","at":')
    assert list(read_history([path])) == records

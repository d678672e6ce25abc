"""Jobs and corrections in the database."""

from __future__ import annotations

from pathlib import Path

from roadgis.web.store import Store

LINE = [[1.0, 2.0], [3.0, 4.0]]


def test_store_keeps_jobs_when_reopened(tmp_path: Path) -> None:
    first = Store(tmp_path / "jobs.sqlite")
    job = first.add("roads", "town")
    first.update(job.id, facts={"usable": True}, percent=12.5, state="running")
    first.close()
    again = Store(tmp_path / "jobs.sqlite").get(job.id)
    assert again is not None
    assert (again.facts, again.percent, again.state) == ({"usable": True}, 12.5, "running")


def test_store_changes_a_state_only_from_the_expected_ones(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite")
    job = store.add("roads", "town")
    assert store.change_state(job.id, ("uploading",), "checking")
    assert not store.change_state(job.id, ("uploading",), "ready")
    assert store.count("checking") == 1


def test_store_queue_is_first_come_first_served(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite")
    ids = [store.add("roads", name).id for name in "abc"]
    for place, number in enumerate((2, 0, 1)):
        store.update(ids[number], state="queued", queued=float(place))
    order = []
    while (job := store.next_queued()) is not None:
        order.append(job.name)
        store.update(job.id, state="running")
    assert order == ["c", "a", "b"]


def test_store_undo_reverts_the_last_edit_of_the_job(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite")
    one, two = store.add("roads", "one"), store.add("roads", "two")
    store.add_edit(one.id, "reject", 3, 0, LINE, "Ann")
    last = store.add_edit(one.id, "draw", None, 0, LINE, "Ben")
    store.add_edit(two.id, "accept", 1, 0, LINE, "Cid")
    assert store.undo(one.id) == last.id
    assert [(e.action, e.edge, e.user) for e in store.edits(one.id)] == [("reject", 3, "Ann")]
    assert len(store.edits(two.id)) == 1


def test_store_removes_the_edits_with_their_job(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite")
    job = store.add("roads", "one")
    store.add_edit(job.id, "reject", 3, 0, LINE, "Ann")
    store.remove(job.id)
    assert store.get(job.id) is None
    assert store.edits(job.id) == []

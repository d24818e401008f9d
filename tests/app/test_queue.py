"""The queue goes on whatever becomes of a job, and a folder belongs to one server."""

import os
import threading
import time

import pytest


class Worker:
    """Runs what it is told to; ``stop`` ends the job that runs."""

    def __init__(self, run):
        self.run, self.stopped = run, threading.Event()

    def ask(self, request, tell):
        self.tell = tell
        self.run(self, request)

    def stop(self):
        self.stopped.set()

    def close(self):
        self.stop()


def wait_for(store, job, *statuses):
    end = time.monotonic() + 10
    while store.state(job).status not in statuses:
        assert time.monotonic() < end, store.state(job)
        time.sleep(0.01)
    return store.state(job)


@pytest.fixture
def store(tmp_path, page_parts):
    store = page_parts.Store(tmp_path / "results")
    yield store
    store.close()


def test_a_job_that_cannot_be_run_takes_no_other_with_it(store, page_parts):
    """A file that is gone, an error that nobody thought of, then a job as usual."""

    def run(_, request):
        if request["options"]["path"] == "odd":
            raise RuntimeError("odd")

    queue = page_parts.Queue(store, Worker(run))
    queue.start()
    file, path = store.new_file("cells.h5ad")
    jobs = [queue.submit({"file": file}), queue.submit({"path": "odd"}), queue.submit({"path": "good"})]
    assert not path.exists()
    said = [wait_for(store, job, "failed", "done") for job in jobs]
    assert [one.status for one in said] == ["failed", "failed", "done"]
    assert "send it again" in said[0].message
    assert "odd" in said[1].message
    queue.close()


def test_cancel_stops_the_job_it_is_of(store, page_parts):
    began = threading.Event()

    def run(worker, request):
        if request["options"]["path"] == "slow":
            began.set()
            assert worker.stopped.wait(10)
            raise page_parts.WorkerStoppedError("stopped")

    queue = page_parts.Queue(store, Worker(run))
    queue.start()
    slow, other = queue.submit({"path": "slow"}), queue.submit({"path": "next"})
    assert began.wait(10)
    queue.cancel(slow)
    queue.cancel(slow)  # once more, when it is over or nearly so
    assert wait_for(store, slow, "cancelled", "failed", "done").status == "cancelled"
    assert wait_for(store, other, "cancelled", "failed", "done").status == "done"
    queue.close()


def test_jobs_run_in_the_order_in_which_they_came(store, page_parts):
    ran, began, goes_on = [], threading.Event(), threading.Event()

    def run(_, request):
        ran.append(request["options"]["path"])
        began.set()
        assert goes_on.wait(10)

    queue = page_parts.Queue(store, Worker(run))
    queue.start()
    jobs = [queue.submit({"path": "a"})]
    assert began.wait(10)
    jobs += [queue.submit({"path": name}) for name in "bcd"]
    assert [store.state(job).position for job in jobs] == [0, 1, 2, 3]
    queue.cancel(jobs[2])
    assert [store.state(job).position for job in jobs] == [0, 1, 0, 2]
    goes_on.set()
    said = [wait_for(store, job, "cancelled", "failed", "done").status for job in jobs]
    assert said == ["done", "done", "cancelled", "done"]
    assert ran == ["a", "b", "d"]
    queue.close()


def test_cancel_of_a_job_that_is_over_stops_no_other(store, page_parts):
    began, goes_on = threading.Event(), threading.Event()

    def run(_, request):
        if request["options"]["path"] == "second":
            began.set()
            assert goes_on.wait(10)

    worker = Worker(run)
    queue = page_parts.Queue(store, worker)
    queue.start()
    first, second = queue.submit({"path": "first"}), queue.submit({"path": "second"})
    assert began.wait(10)
    queue.cancel(first)
    assert not worker.stopped.is_set()
    goes_on.set()
    assert [wait_for(store, job, "failed", "done").status for job in (first, second)] == ["done", "done"]
    queue.close()


def test_cancel_is_kept_until_the_worker_begins(store, page_parts):
    """What is stopped is a process that had not begun: another takes the job, and is stopped at its first word."""
    began = threading.Event()

    def run(worker, _):
        began.set()
        assert worker.stopped.wait(10)
        worker.stopped.clear()
        worker.tell({"step": "mapping", "progress": 0.1, "seconds_left": None})
        if worker.stopped.is_set():
            raise page_parts.WorkerStoppedError("stopped")

    queue = page_parts.Queue(store, Worker(run))
    queue.start()
    job = queue.submit({"path": "slow"})
    assert began.wait(10)
    queue.cancel(job)
    assert wait_for(store, job, "cancelled", "failed", "done").status == "cancelled"
    queue.close()


def test_what_ran_when_the_server_ended_runs_again(tmp_path, page_parts):
    first = page_parts.Store(tmp_path / "results")
    ran, waited, ended = (first.add({"path": name}) for name in ("ran", "waited", "ended"))
    first.change(ran, status="running")
    first.change(ended, status="failed", message="bad cells")
    first.close()
    second, paths = page_parts.Store(tmp_path / "results"), []
    queue = page_parts.Queue(second, Worker(lambda _, request: paths.append(request["options"]["path"])))
    queue.start()
    assert [wait_for(second, job, "failed", "done").status for job in (ran, waited, ended)] == [
        "done",
        "done",
        "failed",
    ]
    assert paths == ["ran", "waited"]
    queue.close()
    second.close()


def test_a_folder_belongs_to_one_server(tmp_path, page_parts):
    folder = tmp_path / "results"
    first = page_parts.Store(folder)
    assert folder.stat().st_mode & 0o077 == 0
    with pytest.raises(ValueError, match="another server works in"):
        page_parts.Store(folder)
    first.close()
    page_parts.Store(folder).close()


def test_a_folder_that_was_there_hides_what_is_put_into_it(tmp_path, page_parts):
    folder = tmp_path / "results"
    folder.mkdir(mode=0o755)
    store = page_parts.Store(folder)
    for made in (store.jobs, store.files, store.maps):
        assert made.stat().st_mode & 0o077 == 0
    store.close()


def test_a_start_removes_files_that_were_sent_long_ago_for_no_job(tmp_path, page_parts):
    first = page_parts.Store(tmp_path / "results")
    (old, _), (used, _), (fresh, _) = (first.new_file("cells.h5ad") for _ in range(3))
    first.add({"file": used})
    two_days_ago = time.time() - 2 * 24 * 3600
    for file in (old, used):
        os.utime(first.files / file, (two_days_ago, two_days_ago))
    first.close()
    second = page_parts.Store(tmp_path / "results")
    assert {one.name for one in second.files.iterdir()} == {used, fresh}
    second.close()


def test_the_folder_of_another_user_is_refused(tmp_path, page_parts, monkeypatch):
    """Who made it could put jobs into it."""
    monkeypatch.setattr("os.getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ValueError, match="another user's"):
        page_parts.Store(tmp_path)


def test_a_full_disk_stops_no_job(store, page_parts, around, caplog):
    queue = page_parts.Queue(store, Worker(lambda *_: None))
    jobs = [queue.submit({"path": name}) for name in "ab"]

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    around("a job is noted", full)
    queue.start()
    assert [wait_for(store, job, "done", "failed").status for job in jobs] == ["done", "done"]
    assert "No space left" in caplog.text
    queue.close()


def test_a_long_name_in_another_script_is_shortened(store):
    _, path = store.new_file("\U0001f9ec" * 200 + ".h5ad")
    path.write_bytes(b"x")
    assert path.suffix == ".h5ad"


def test_files_that_no_job_takes_go_after_a_day(store):
    """Those that a job needs stay, and so do those that came just now."""
    (old, _), (needed, _), (new, _) = [store.new_file("cells.h5ad") for _ in range(3)]
    store.add({"file": needed})
    for file in (old, needed):
        os.utime(store.files / file, (0, time.time() - 25 * 3600))
    another, _ = store.new_file("cells.h5ad")
    assert {one.name for one in store.files.iterdir()} == {needed, new, another}


def test_a_question_that_takes_too_long_is_stopped(tmp_path, page_parts):
    """And the next one is answered."""
    worker = page_parts.Worker(tmp_path / "log")
    for _ in range(2):
        with pytest.raises(page_parts.WorkerStoppedError, match=r"0\.01 s"):
            worker.ask({"do": "list"}, seconds=0.01)
    assert worker.ask({"do": "list"}, seconds=100)
    assert worker.ask({"do": "list"})
    worker.close()


def test_a_job_that_cannot_be_read_stops_no_server(tmp_path, page_parts, caplog):
    store = page_parts.Store(tmp_path)
    job, damaged = store.add({"path": "good"}), store.add({"path": "bad"})
    (store.path(damaged) / "job.json").write_text("{")
    store.close()
    again = page_parts.Store(tmp_path)
    assert list(again) == [job]
    assert damaged in caplog.text
    assert (again.jobs / damaged).is_dir()
    again.close()

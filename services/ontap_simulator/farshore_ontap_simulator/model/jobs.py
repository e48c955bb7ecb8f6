"""ONTAP's asynchronous jobs: queued, running, then success or failure; after a while they are gone."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from farshore_ontap_simulator.errors import INTERNAL, OntapError
from farshore_ontap_simulator.faults import Faults
from farshore_ontap_simulator.model.records import Job, JobState
from farshore_ontap_simulator.model.store import Store

LOG = logging.getLogger(__name__)
_WORKERS = 16


class Jobs:
    """Runs and remembers jobs. `finished_seconds`: how long one can be read after its end."""

    def __init__(self, store: Store, faults: Faults, now: Callable[[], datetime], finished_seconds: float) -> None:
        self._store = store
        self._faults = faults
        self._now = now
        self._finished = timedelta(seconds=finished_seconds)
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="job")
        self._errors: dict[str, OntapError] = {}

    def submit(self, description: str, work: Callable[[], object]) -> Job:
        """Queue `work`. An OntapError that it raises becomes the job's failure."""
        self.expire()
        job = Job(uuid=str(uuid.uuid4()), description=description, state=JobState.QUEUED, started=self._now())
        with self._store.transaction():
            self._store.jobs.put(job)
        self._pool.submit(self._run, job, work)
        return job

    def _run(self, job: Job, work: Callable[[], object]) -> None:
        with self._store.transaction():
            self._store.jobs.put(job.but(state=JobState.RUNNING))
        code, message, state = 0, "success", JobState.SUCCESS
        try:
            fault = self._faults.on_job(job.description)
            if fault is not None:
                raise OntapError(fault.code, fault.message)
            work()
        except OntapError as error:
            code, message, state = error.code, error.message, JobState.FAILURE
            self._errors[job.uuid] = error
        except Exception:  # the job's outermost frame: a bug must end the job, not the worker
            LOG.exception("job failed: %s", job.description)
            code, message, state = INTERNAL, "Internal error.", JobState.FAILURE
            self._errors[job.uuid] = OntapError(code, message, status=500)
        with self._store.transaction():
            self._store.jobs.put(job.but(state=state, code=code, message=message, ended=self._now()))

    def ended(self, job: Job) -> bool:
        """Whether a job has ended. Raises the OntapError that it failed with."""
        current = self._store.jobs.get(job.uuid)
        if current is not None and current.ended is None:
            return False
        error = self._errors.get(job.uuid)
        if error is not None:
            raise error
        return True

    def expire(self) -> None:
        """Forget the jobs that ended long enough ago."""
        horizon = self._now() - self._finished
        old = self._store.jobs.where(lambda job: job.ended is not None and job.ended < horizon)
        if old:
            with self._store.transaction():
                for job in old:
                    self._store.jobs.delete(job.uuid)
                    self._errors.pop(job.uuid, None)

    def recover(self) -> None:
        """After a restart: what was under way has failed."""
        with self._store.transaction():
            for job in self._store.jobs.where(lambda job: job.ended is None):
                self._store.jobs.put(
                    job.but(
                        state=JobState.FAILURE,
                        code=INTERNAL,
                        message="The job was interrupted by a restart.",
                        ended=self._now(),
                    )
                )

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False, cancel_futures=True)

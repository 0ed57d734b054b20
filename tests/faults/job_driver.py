"""A process that runs the jobs of a spool until it is killed: ``python job_driver.py DB SPOOL``."""

import sys
import time
from pathlib import Path

from adapters.spool import Spool
from entrypoints.application import build_application
from entrypoints.process.job_runner import JobRunner
from entrypoints.settings import Settings

if __name__ == "__main__":
    database, directory = sys.argv[1:]
    application = build_application(Settings(db=database))
    runner = JobRunner(application, Spool(Path(directory), 2**30))
    print("running", flush=True)  # noqa: T201 - told to the test
    while True:
        time.sleep(1)

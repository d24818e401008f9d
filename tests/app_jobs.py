"""What tests of the page's jobs share."""

import os
import re
import subprocess
import sys
import time


def wait(client, job, seconds=180):
    """Return the last state of a job."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        state = client.get(f"/api/jobs/{job}").json()
        if state["status"] in {"done", "failed", "cancelled"}:
            return state
        time.sleep(0.1)
    message = f"still {state}"
    raise TimeoutError(message)


class Running:
    """Run ``scarches-plus app``, and give its address."""

    def __init__(self, folder, *options, environment=None):
        self.command = [
            sys.executable, "-W", "ignore", "-c", "from scarches_plus.cli import main; main()", "app", *options,
            "--folder", str(folder), "--port", "0",
        ]  # fmt: skip
        self.environment = {**os.environ, **(environment or {})}

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True, env=self.environment)
        for line in self.process.stdout:
            if found := re.search(r"http://\S+", line):
                return found[0]
        message = f"the server ended with {self.process.wait()}"
        raise RuntimeError(message)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()

"""What tests of the page's jobs share."""

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

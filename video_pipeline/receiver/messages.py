"""What the receiver tells people: calls that are signed and yet cannot be."""

from video_pipeline.alerts import Alert


def another_jobs_request(provider: str, job_key: str, request_id: str) -> Alert:
    """A signed call that names a request of another job; nothing was changed."""
    text = (
        f"{provider} says that job {job_key[:16]} is its request {request_id}, which is another job's. Nothing was "
        "changed. Whoever has sent it knows the addresses of your webhooks."
    )
    return Alert(f"webhook {provider} {job_key}", "A webhook names another job's request", text, severity="warning")


def another_request(provider: str, job_key: str, request_id: str) -> Alert:
    """A signed call that names a second request for a job; nothing was changed."""
    text = (
        f"{provider} has ended its request {request_id} for job {job_key[:16]}, which is known under another one. "
        f"Nothing was changed. Look at {provider} whether the request is yours: then it was paid for as well."
    )
    return Alert(f"second request {provider} {job_key}", "A job may be bought twice", text, severity="critical")

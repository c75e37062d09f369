"""What wakes something that waits, in words for people; and the command, where that is a person's."""

from video_pipeline.days import zone_name
from video_pipeline.ledger import BREAKER, Wait, WaitCause, What


def waker(wait: Wait) -> str:
    """Who or what makes it go on."""
    if wait.taken_up_at is not None:
        return "the end of the run that has it, or of its lease"
    hinges_on = wait.why.hinges_on
    match wait.why.cause:
        case WaitCause.CEILING if hinges_on == "plan":
            return "fewer or cheaper briefs, or a higher budget.plan_cap_usd"
        case WaitCause.CEILING:
            return f"the next day's budget (00:00 {zone_name()}), or a higher budget.daily_ceiling_usd"
        case WaitCause.FROZEN:
            return f"the end of the freeze, or `video-pipeline thaw {hinges_on}`"
        case WaitCause.MODEL:
            return "a model's return, another catalogue, or a changed brief"
        case WaitCause.PRICE:
            return f"the off-peak hours of {hinges_on}"
        case WaitCause.PROVIDER:
            return f"{hinges_on.removeprefix(BREAKER) or 'the provider'}, when it serves again"
        case WaitCause.QUOTA:
            return f"{hinges_on or 'the platform'}'s quota"
        case WaitCause.PERSON if hinges_on == "brief":
            return "a person: change the brief and drop it again"
        case WaitCause.PERSON:
            return "a person's answer"
        case WaitCause.LEASE:
            return "the end of the lease on it"
        case WaitCause.TWIN:
            return f"the end of the identical job {hinges_on[:16]}"
        case WaitCause.RESULT:
            return f"{hinges_on or 'the other side'}, asked again"
        case WaitCause.RUN if wait.what is What.INTAKE:
            return "a run of its day, which takes the files in"
        case WaitCause.RUN if wait.what is What.NIGHT:
            return f"a run of `{hinges_on}`"
        case WaitCause.RUN | WaitCause.RETRY:
            return "a run of its day"

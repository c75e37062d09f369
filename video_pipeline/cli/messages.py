"""What the command line tells a channel of what a person did."""

from datetime import date

from video_pipeline.alerts import Alert


def opened_by_hand(tier: str, day: date, reason: str) -> Alert:
    """A frozen tier was thawed; once a tier and day."""
    text = f"{day}: opened by hand ({reason}); the count of dear days starts anew."
    return Alert(f"transition {tier} open by hand {day}", f"The {tier} tier is open", text)

"""A process that reserves every planned job it can: `buyer.py URL CEILING_USD`; prints the keys it was granted."""

import sys
from decimal import Decimal
from pathlib import Path

from video_pipeline.ledger import JobState, open_ledger

url, ceiling_usd = sys.argv[1:]
ledger = open_ledger(url, embedded_dir=Path("unused"))
for job in ledger.jobs.in_state(JobState.PLANNED):
    if ledger.jobs.reserve(job, ceiling_usd=Decimal(ceiling_usd)).granted:
        print(job.key)

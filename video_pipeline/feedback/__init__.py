"""Gate 4: what happened to every clip, what it cost, how the models did, and who may serve tomorrow."""

from video_pipeline.feedback.billing import (
    OFF,
    BilledRequest,
    DayBill,
    Match,
    days_to_compare,
    reconcile,
)
from video_pipeline.feedback.costs import (
    CostLine,
    CostReport,
    Dimension,
    FailureMode,
    cost_report_of,
    weekly_cost_report_of,
)
from video_pipeline.feedback.draws import Drawn, Estimate
from video_pipeline.feedback.drift import DriftVerdict, TierStatus, drift_verdict, judge_drift
from video_pipeline.feedback.effects import (
    book_delivery,
    put_affinity_in_force,
    put_guidance_in_force,
    put_learned_in_force,
    put_proven_kinds_in_force,
)
from video_pipeline.feedback.expectation import expectations_of
from video_pipeline.feedback.facts import ClipFact, Expectation, FirstTry, ModelAttempts, Outcome, build_facts
from video_pipeline.feedback.learning import Earlier, Learned, Nights, Standing, learn
from video_pipeline.feedback.messages import (
    billing_alert,
    guidance_alert,
    price_alerts,
    transition_alerts,
    weekly_alert,
)
from video_pipeline.feedback.patterns import (
    EditorialPattern,
    Measure,
    Parameter,
    PatternVerdict,
    StyleAffinity,
    compared_ages,
    editorial_patterns_of,
    style_affinity_of,
)
from video_pipeline.feedback.price_watch import TROUBLE, ListedModel, PriceState, earlier_prices, listed_prices
from video_pipeline.feedback.record import recorded_days
from video_pipeline.feedback.rescues import ProviderDay, providers_of_day
from video_pipeline.feedback.scores import ModelScore, Verdict, score_models
from video_pipeline.feedback.sheet import (
    PlatformSheet,
    effect_words,
    gain_words,
    interval_words,
    sheets_of,
    sure_words,
)
from video_pipeline.feedback.spending import Cause, TierSpending, spending_of
from video_pipeline.feedback.standings import ModelStanding, judge_standings, routing_state, told_by_ledger
from video_pipeline.feedback.timing import ClipTimes, Part, Total, times_of
from video_pipeline.feedback.what_if import (
    Expected,
    Move,
    Recorded,
    RecordedDay,
    Untold,
    WhatIf,
    WhatIfRow,
    not_replayed,
    replay,
)
from video_pipeline.feedback.worth import mature_ages

__all__ = [
    "OFF",
    "TROUBLE",
    "BilledRequest",
    "Cause",
    "ClipFact",
    "ClipTimes",
    "CostLine",
    "CostReport",
    "DayBill",
    "Dimension",
    "Drawn",
    "DriftVerdict",
    "Earlier",
    "EditorialPattern",
    "Estimate",
    "Expectation",
    "Expected",
    "FailureMode",
    "FirstTry",
    "Learned",
    "ListedModel",
    "Match",
    "Measure",
    "ModelAttempts",
    "ModelScore",
    "ModelStanding",
    "Move",
    "Nights",
    "Outcome",
    "Parameter",
    "Part",
    "PatternVerdict",
    "PlatformSheet",
    "PriceState",
    "ProviderDay",
    "Recorded",
    "RecordedDay",
    "Standing",
    "StyleAffinity",
    "TierSpending",
    "TierStatus",
    "Total",
    "Untold",
    "Verdict",
    "WhatIf",
    "WhatIfRow",
    "billing_alert",
    "book_delivery",
    "build_facts",
    "compared_ages",
    "cost_report_of",
    "days_to_compare",
    "drift_verdict",
    "earlier_prices",
    "editorial_patterns_of",
    "effect_words",
    "expectations_of",
    "gain_words",
    "guidance_alert",
    "interval_words",
    "judge_drift",
    "judge_standings",
    "learn",
    "listed_prices",
    "mature_ages",
    "not_replayed",
    "price_alerts",
    "providers_of_day",
    "put_affinity_in_force",
    "put_guidance_in_force",
    "put_learned_in_force",
    "put_proven_kinds_in_force",
    "reconcile",
    "recorded_days",
    "replay",
    "routing_state",
    "score_models",
    "sheets_of",
    "spending_of",
    "style_affinity_of",
    "sure_words",
    "times_of",
    "told_by_ledger",
    "transition_alerts",
    "weekly_alert",
    "weekly_cost_report_of",
]

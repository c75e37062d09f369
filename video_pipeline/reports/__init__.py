"""What people look at: contact sheets, plots and the day's page, made of clips and of what feedback measured (O3).

Importing this package loads no drawing library; its functions do when they are called.
"""

from video_pipeline.reports.addresses import web_address
from video_pipeline.reports.charts import Chart, cost_chart, score_chart
from video_pipeline.reports.day_page import day_report
from video_pipeline.reports.gallery import Gallery, day_gallery
from video_pipeline.reports.inline import inline_jpeg
from video_pipeline.reports.pictures import SheetEntry, before_after_strip, contact_sheet
from video_pipeline.reports.plots import cost_plot, score_plot

__all__ = [
    "Chart",
    "Gallery",
    "SheetEntry",
    "before_after_strip",
    "contact_sheet",
    "cost_chart",
    "cost_plot",
    "day_gallery",
    "day_report",
    "inline_jpeg",
    "score_chart",
    "score_plot",
    "web_address",
]

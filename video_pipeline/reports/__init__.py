"""What people look at: contact sheets, plots, pages of days and of models, made of what was measured (O3).

Importing this package loads no drawing library; its functions do when they are called.
"""

from video_pipeline.reports.addresses import web_address
from video_pipeline.reports.charts import Chart, cost_chart, history_chart, score_chart, value_chart, waste_chart
from video_pipeline.reports.day_page import day_report
from video_pipeline.reports.gallery import DayGallery, Gallery
from video_pipeline.reports.inline import inline_jpeg
from video_pipeline.reports.model_page import model_page_key, model_pages
from video_pipeline.reports.pictures import ContactSheet, SheetEntry, before_after_strip, sheet_stills
from video_pipeline.reports.plots import cost_plot, score_plot, value_plot
from video_pipeline.reports.writers_sheet import guidance_page

__all__ = [
    "Chart",
    "ContactSheet",
    "DayGallery",
    "Gallery",
    "SheetEntry",
    "before_after_strip",
    "cost_chart",
    "cost_plot",
    "day_report",
    "guidance_page",
    "history_chart",
    "inline_jpeg",
    "model_page_key",
    "model_pages",
    "score_chart",
    "score_plot",
    "sheet_stills",
    "value_chart",
    "value_plot",
    "waste_chart",
    "web_address",
]

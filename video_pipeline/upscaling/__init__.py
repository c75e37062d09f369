"""Gate 3: Real-ESRGAN upscaling of whole clips on the machine's own GPU, or more slowly on its CPU.

`compute` holds the networks and the engine; `film` reads and writes files. The modules at the top are what the
pipeline and the command line use: `clips`, `cluster`, `batch` with its `tasks` and their `record`, and the settings
and results in `report`. Other rooms import this package only. Importing it does not import torch or PyAV; using it
does.
"""

from video_pipeline.errors import UpscalingError
from video_pipeline.upscaling.batch import Batch, Outcome, Plan
from video_pipeline.upscaling.clips import ClipUpscaler, OnProgress
from video_pipeline.upscaling.cluster import ClusterUpscaler
from video_pipeline.upscaling.compute.engine import Device, Engine, Execution, Precision, describe_device
from video_pipeline.upscaling.compute.reference import ReferenceEngine
from video_pipeline.upscaling.compute.weights import MODELS, WeightsError, download_weights, models_needed
from video_pipeline.upscaling.film.geometry import target_size
from video_pipeline.upscaling.film.video import engine_for, upscale_file
from video_pipeline.upscaling.report import Electricity, EngineName, UpscaleProgress, UpscaleReport, UpscaleSettings
from video_pipeline.upscaling.tasks import LeftOut, Task, find_tasks

__all__ = [
    "MODELS",
    "Batch",
    "ClipUpscaler",
    "ClusterUpscaler",
    "Device",
    "Electricity",
    "Engine",
    "EngineName",
    "Execution",
    "LeftOut",
    "OnProgress",
    "Outcome",
    "Plan",
    "Precision",
    "ReferenceEngine",
    "Task",
    "UpscaleProgress",
    "UpscaleReport",
    "UpscaleSettings",
    "UpscalingError",
    "WeightsError",
    "describe_device",
    "download_weights",
    "engine_for",
    "find_tasks",
    "models_needed",
    "target_size",
    "upscale_file",
]

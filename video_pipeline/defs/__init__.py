"""The Dagster edge, thin: the only room that imports dagster. Assets in `assets/`, a file a stage, in flow order."""

import warnings

import dagster as dg

# A check without partitions would let one old day's failure stand for all days, so partitioned checks are used on
# purpose although they are still in preview; a test asserts that they are in force.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, message=".*partitions_def on an AssetCheckSpec.*")

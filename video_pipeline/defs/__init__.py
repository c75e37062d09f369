"""The Dagster edge, thin: the only room that imports dagster. Assets in `assets/`, a file a stage, in flow order."""

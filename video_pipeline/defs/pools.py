"""Concurrency pools; limits are set in the instance (`dagster.yaml`: one each, unless raised on purpose)."""

GPU = "gpu"
PROVIDER_API = "provider_api"

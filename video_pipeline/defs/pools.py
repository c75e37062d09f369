"""Concurrency pools; limits are set in the instance (`dagster.yaml`: one each, unless raised on purpose)."""

GPU = "gpu"
PROVIDER_API = "provider_api"
# Apart from the providers': a day that is bought for an hour must not keep another day's clips from going public.
PLATFORM_API = "platform_api"

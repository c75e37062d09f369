"""A self-hosted AI-video pipeline: briefs in, published and scored clips out, as one Dagster asset graph."""

__version__ = "0.1.0"

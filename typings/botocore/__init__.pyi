"""The parts of botocore that the project uses."""
